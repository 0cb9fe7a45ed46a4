"""The endpoint in the shape of Amazon Bedrock's runtime: Converse and its stream, InvokeModel and its stream, CountTokens.

Facts about the wire: the service model `bedrock-runtime` (apiVersion 2023-09-30) in botocore 1.44.5.
"""
