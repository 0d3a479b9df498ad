#!/usr/bin/env bash
# cURL: an image's own bytes, a form, and JSON.
#
#   examples/upscale.sh photo.jpg upscaled
#
# writes three images to the folder upscaled. SUPERRES_ENDPOINT names another server than
# http://localhost:51001. A server with keys needs --header "Authorization: $key" in each call.
set -euo pipefail

photo=$1
folder=$2
endpoint=${SUPERRES_ENDPOINT:-http://localhost:51001}
mkdir -p "$folder"

# With --fail-with-body an error answer, {"code", "message", "option", "allowed"}, ends the script.
call=(curl --silent --show-error --fail-with-body)

# The bytes of the file go out, those of the larger one come back; options are in the address.
# --globoff would be needed for brackets, %2B and %20 for + and blanks in an expression.
"${call[@]}" "$endpoint/upscale?scale=600:-1&image_format=png" \
  --header 'Content-Type: application/octet-stream' \
  --data-binary "@$photo" --output "$folder/raw.png"

# The same as a form, as browsers send one.
"${call[@]}" "$endpoint/upscale" \
  --form "file=@$photo" --form 'scale=iw*2:-1' --form image_format=webp \
  --output "$folder/form.webp"

# JSON, as the official JavaScript client speaks it; images are base64 in both directions.
{
  printf '{"data": [{"blob": "'
  base64 < "$photo" | tr -d '\n'
  printf '", "tags": {"image_format": "jpeg"}}], "parameters": {"quality": 90}}'
} |
  "${call[@]}" "$endpoint/upscale" --header 'Content-Type: application/json' --data-binary @- |
  python3 -c '
import base64, json, sys
answer = json.load(sys.stdin)["data"][0]
print(answer["tags"]["upscale"], file=sys.stderr)
sys.stdout.buffer.write(base64.b64decode(answer["blob"]))' > "$folder/json.jpg"
