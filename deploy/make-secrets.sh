#!/bin/sh
# Writes the passwords that deploy/server.compose.yml needs, once: random, into deploy/secrets, or
# into the folder that is named. The folder is its owner's alone; the files in it can be read by
# everyone, because containers do so as other users.
set -eu
folder="${1:-$(dirname "$0")/secrets}"
if [ -e "$folder" ]; then
  echo "$folder is there already: passwords that are in use are not replaced." >&2
  exit 1
fi
umask 077
mkdir -p "$folder.new"
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
password=$(random)
access=$(random | cut -c1-20)
secret=$(random)
printf '%s' "$password" >"$folder.new/database_password"
cat >"$folder.new/s3_credentials" <<END
[default]
aws_access_key_id = $access
aws_secret_access_key = $secret
END
cat >"$folder.new/s3_identities" <<END
{
  "identities": [
    {
      "name": "segsearch",
      "credentials": [{"accessKey": "$access", "secretKey": "$secret"}],
      "actions": ["Admin", "Read", "List", "Tagging", "Write"]
    }
  ]
}
END
chmod 644 "$folder.new"/*
mv "$folder.new" "$folder"
