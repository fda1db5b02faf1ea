#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the C files of one folder (not of its subfolders), sorted bytewise, one a line, as paths
# from the repository root. A folder that does not exist has none. With a word, only files that have
# it:
#
#     ci/sources.sh FOLDER [WORD]
set -eu
cd "$(dirname "$0")/.."
LC_ALL=C
export LC_ALL
for file in "$1"/*.c; do
    if [ -f "$file" ] && { [ -z "${2-}" ] || grep -q -F -e "$2" "$file"; }; then
        printf '%s\n' "$file"
    fi
done
