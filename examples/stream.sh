#!/bin/sh
# The raw event stream of a response.
curl -sN http://127.0.0.1:8321/v1/responses \
  -H 'content-type: application/json' \
  -d '{"model": "demo", "input": "Say hello.", "stream": true}'
