#!/bin/sh
# Deploys the version that a tag of the registry is about, if it is the one in production:
#
#     sh ci/deploy.sh 'fraud#production#4'
#
# A tag that comes late (a job that was started again) changes nothing that was decided since.
set -eu
tag=$1
folder=${DEPLOY_DIR:-deployed}

field() { # one key of the JSON on standard input
    python -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

shown=$(mlgit models show --json -- "$tag")
name=$(printf '%s' "$shown" | field name)
version=$(printf '%s' "$shown" | field version)
current=$(mlgit models show --json -- "$name@production" | field version)
if [ "$version" != "$current" ]; then
    echo "Version $version of $name isn't in production any more: version $current is"
    exit 0
fi
mkdir -p "$folder"
uri=$(python -c 'import sys, urllib.parse as u; print(f"models:/{u.quote(sys.argv[1], safe=str())}/{sys.argv[2]}")' "$name" "$version")
mlgit artifacts download --artifact-uri "$uri" --dst-path "$folder/$version"
# Here it is put where your service takes it from: an image, a bucket, a restart.
echo "Deployed version $version of $name"
