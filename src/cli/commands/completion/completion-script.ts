import type { ProgramCommand } from '../command.ts'
import { type Option, flagOf } from '../../options/option-table.ts'

/** The part of a command that completion uses. */
type Described = Pick<ProgramCommand, 'name' | 'summary' | 'options'>

/**
 * A script that makes a shell complete commands, their options, choices and file names without starting the program.
 */
export function completionScript(shell: 'bash' | 'zsh' | 'fish', commands: readonly Described[]): string {
  if (shell === 'fish') return fishScript(commands)
  return shell === 'bash'
    ? bashScript(commands)
    : `autoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`
}

function bashScript(commands: readonly Described[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  const flags = commands.map(
    ({ name, options }) => `    ${name}) words='${[...Object.keys(options).map(flagOf), '--help'].join(' ')}' ;;`,
  )
  const values = commands.flatMap(({ name, options }) =>
    Object.entries(options)
      .filter(([, option]) => option.type !== 'flag')
      .map(([option, spec]) => `    '${name} ${flagOf(option)}') ${bashValues(spec)} ;;`),
  )
  return `_petals_node() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${names} --help --version' -- "$current"))
    return
  fi
  case "$command $previous" in
${values.join('\n')}
  esac
  case "$command" in
${flags.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _petals_node petals-node
`
}

/** The completion of an option's value: its choices, file names, or nothing. */
function bashValues(option: Option): string {
  if (option.type === 'text' && option.choices !== undefined)
    return `COMPREPLY=($(compgen -W '${option.choices.join(' ')}' -- "$current")); return`
  if (option.type === 'text' && option.isFile === true) return 'COMPREPLY=($(compgen -f -- "$current")); return'
  return 'return'
}

function fishScript(commands: readonly Described[]): string {
  const lines = ['complete -c petals-node -f']
  for (const { name, summary, options } of commands) {
    lines.push(`complete -c petals-node -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`)
    for (const [option, spec] of Object.entries(options)) {
      const flags = `-l ${flagOf(option).slice(2)}${spec.short === undefined ? '' : ` -s ${spec.short}`}`
      lines.push(
        `complete -c petals-node -n '__fish_seen_subcommand_from ${name}' ` +
          `${flags}${fishValues(spec)} -d ${quoted(spec.description)}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}

function fishValues(option: Option): string {
  if (option.type === 'flag') return ''
  if (option.type === 'text' && option.choices !== undefined) return ` -x -a ${quoted(option.choices.join(' '))}`
  return option.type === 'text' && option.isFile === true ? ' -r -F' : ' -x'
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
