"""The answers of the reading half of the API: JSON values made from a study's tables. Pure; no HTTP, no I/O."""
