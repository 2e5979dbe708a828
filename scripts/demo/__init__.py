"""The rehearsal: a whole campaign against the simulator, followed and compared with its story."""
