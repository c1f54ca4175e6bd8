# Completion of posctl for fish: posctl completion fish | source
function __posctl_complete
    set -l words (commandline -opc)
    set -l command (string replace -r '^~' $HOME -- $words[1])
    set -l current (commandline -ct)
    set -l lines ($command completion words -- $words[2..-1] "$current" 2>/dev/null </dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path "$current"
    else if set -q lines[1]
        printf '%s\n' $lines
    end
end
complete -c posctl -f -k -a '(__posctl_complete)'
