"""What several test modules need: databases, fakes and builders."""
