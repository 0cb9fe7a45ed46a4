"""The endpoint as OpenAI's SDKs know it."""
