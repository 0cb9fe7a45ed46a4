"""The endpoint: OpenAI- and Bedrock-shaped, keys and limits, variants and shadows, a trace for every answer."""
