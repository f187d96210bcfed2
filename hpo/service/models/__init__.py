"""What the API answers, as documented values: the OpenAPI document and the reference are made from them. Pure; no I/O."""
