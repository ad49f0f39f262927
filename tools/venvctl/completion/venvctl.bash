# Completion of venvctl for bash. It asks venvctl itself, which knows its verbs and options, and asks the
# manager for the names of agents, groups, environments and instances.

_venvctl()
{
    local line=${COMP_LINE:0:COMP_POINT} given current shown word
    local -a words
    # Our own words: bash breaks at "@", ":" and "=", which are parts of ours.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    given=${words[${#words[@]}-1]}
    current=${COMP_WORDS[COMP_CWORD]}
    [[ $current == '=' || $current == ':' ]] && current=
    shown=${given%"$current"} # what bash has before the word that it replaces
    COMPREPLY=()
    while IFS= read -r word; do
        case $word in
        :file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ; compopt -o filenames ;;
        :directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ; compopt -o filenames ;;
        ?*) COMPREPLY+=("${word#"$shown"}") ;;
        esac
    done < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null)
}
complete -F _venvctl venvctl
