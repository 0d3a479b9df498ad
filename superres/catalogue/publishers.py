"""Where publishers keep their files."""

# Files in a repository are named by commit: a branch may move under a hash.
RAW = "https://raw.githubusercontent.com"
