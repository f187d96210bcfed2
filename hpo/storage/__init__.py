"""Where bytes lie: named files in a local folder or below an S3 prefix. Knows nothing of studies."""
