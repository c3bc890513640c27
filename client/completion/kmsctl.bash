# bash completion of kmsctl: the program itself knows its commands and options.
# Load it with `. <(kmsctl completion bash)`, or from /usr/share/bash-completion/completions/kmsctl.
_kmsctl()
{
    local IFS=$'\n'
    COMPREPLY=()
    # "=" ends a word for readline; a pair NAME=VALUE has nothing to complete.
    case ${COMP_WORDS[COMP_CWORD]} in =*) return ;; esac
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _kmsctl kmsctl
