# bash completion for kms-env(1)

_kms_env()
{
    local cur prev words cword
    _init_completion -n = || return

    local connection="--endpoint --ca --cert --key-file --server-name --context"
    local values="--app --key --only --dialect"
    local i command="" first=0
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        encrypt | run | check | render | import | credentials)
            command=${words[i]}
            first=$((i + 1))
            break
            ;;
        esac
    done
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "encrypt run check render import credentials --help --version" -- "$cur"))
        return
    fi

    # behind -- stands a program with arguments of its own
    if [[ $command == run ]]; then
        for ((i = first; i < cword; i++)); do
            if [[ ${words[i]} == -- ]]; then
                _command_offset $((i + 1))
                return
            fi
        done
    fi

    if [[ $command == render && $prev == -o ]]; then
        _filedir
        return
    fi
    case $prev in
    --env-file | -e | --in | --out | --socket | --config | --template | --policy | --ca | --cert | --key-file)
        _filedir
        return
        ;;
    --dialect)
        COMPREPLY=($(compgen -W "dotenv docker systemd" -- "$cur"))
        return
        ;;
    --output | -o)
        COMPREPLY=($(compgen -W "text json" -- "$cur"))
        return
        ;;
    --format)
        COMPREPLY=($(compgen -W "env dotenv compose shell json yaml systemd" -- "$cur"))
        return
        ;;
    --watch-signal)
        COMPREPLY=($(compgen -W "HUP INT QUIT TERM USR1 USR2" -- "$cur"))
        return
        ;;
    --owner)
        _usergroup
        return
        ;;
    --mode | --prefix | --json-secret | --watch-interval | --watch-grace | --app | --key | -k | --only | --endpoint | --server-name | --context)
        return
        ;;
    esac

    case $command in
    encrypt) COMPREPLY=($(compgen -W "$values $connection --in --out --in-place --help" -- "$cur")) ;;
    run)
        COMPREPLY=($(compgen -W "$values $connection --env-file --output --pristine --no-overwrite --allow-missing
            --unsafe-names --keep-settings --dry-run --watch --watch-interval --watch-signal --watch-grace --help --" -- "$cur"))
        ;;
    check) COMPREPLY=($(compgen -W "$values $connection --env-file --output --strict --online --help" -- "$cur")) ;;
    render)
        COMPREPLY=($(compgen -W "$values $connection --env-file --format --template --allow-missing --unsafe-names --out
            --mode --owner --allow-disk --show --help" -- "$cur"))
        ;;
    import)
        COMPREPLY=($(compgen -W "$values $connection --in --out --in-place --prefix --json-secret --replace --policy
            --dry-run --output --help" -- "$cur"))
        ;;
    credentials) COMPREPLY=($(compgen -W "$connection --socket --config --user --help" -- "$cur")) ;;
    esac
}

complete -F _kms_env kms-env
