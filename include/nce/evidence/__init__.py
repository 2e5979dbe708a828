"""Evidence for an auditor or a partner's lawyer: a file that can be checked, and a page that can be read."""
