#!/bin/sh
# What `make audit` runs: audit.sh PIP_AUDIT FOLDER LOCK_FILE...
#
# Asks what is known of each package of each lock file, and lists the packages, with what is known,
# in FOLDER as CycloneDX. Ends with 0: nothing is known; 1: something is; 3: nobody could tell.
set -u
pip_audit="$1"
folder="$2"
shift 2

# A package that the service does not know would count as a good one but for --strict.
ask() {
    "$pip_audit" --strict --require-hashes --disable-pip --progress-spinner off \
        --requirement "$file" "$@"
}

# What an earlier run has left says nothing of today.
mkdir -p "$folder" && rm -f "$folder"/*.cdx.json || exit 3
code=0
for file in "$@"; do
    list="$folder/$(basename "$file" .txt).cdx.json"
    if said=$(ask --format cyclonedx-json --output "$list" 2>&1) && [ -s "$list" ]; then
        echo "$file: no vulnerability is known; its packages: $list"
    elif [ -s "$list" ]; then
        # pip-audit ends with 1 whatever is wrong, but writes the list only when all has been asked.
        echo "$file: vulnerabilities are known; its packages: $list"
        ask 2>&1
        code=1
    else
        printf '%s\n' "$said" | tail -n 2 >&2
        echo "audit: $file could not be checked, and nothing is known of what comes after it:" \
            "the service that knows of vulnerabilities did not answer for each package." \
            "Try again where there is a network." >&2
        exit 3
    fi
done
exit "$code"
