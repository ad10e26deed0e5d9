# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for sockaccelctl, which says itself what may come next.

function __sockaccelctl_complete
    set -l words (commandline --cut-at-cursor --current-process --tokenize)
    set -l current (commandline --cut-at-cursor --current-token)
    for line in ($words[1] complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :directories
                __fish_complete_directories "$current"
            case '*'
                echo $line
        end
    end
end

complete --command sockaccelctl --no-files --arguments '(__sockaccelctl_complete)'
