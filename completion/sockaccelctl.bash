# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# bash completion for sockaccelctl, which says itself what may come next.

_sockaccelctl() {
    local cur='' words=() cword=0 word
    _get_comp_words_by_ref -n := cur words cword || return
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        case $word in
        :files)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        :directories)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            ;;
        *) COMPREPLY+=("$word") ;;
        esac
    done < <("${words[0]}" complete "${words[@]:1:cword}" 2>/dev/null)
    __ltrim_colon_completions "$cur"
}
complete -F _sockaccelctl sockaccelctl
