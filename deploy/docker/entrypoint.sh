#!/bin/sh
# Read secrets from files into the environment, NAME_FILE into NAME, so that none is written into a compose file.
set -eu
for name in \
    PREFECT_API_AUTH_STRING PREFECT_SERVER_API_AUTH_STRING PREFECT_SERVER_DATABASE_PASSWORD \
    PREFECT_SERVER_ENCRYPTION_KEY \
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY HF_TOKEN
do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        [ -r "$file" ] || { echo "${name}_FILE=$file cannot be read by user $(id -u)" >&2; exit 78; }
        value=$(cat "$file")
        if [ -n "$value" ]; then
            export "$name=$value"
        fi
        unset "${name}_FILE"
    fi
done
exec "$@"
