"""The simulator against the published contract, with its clock in the tests' hands."""
