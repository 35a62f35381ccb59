import type { ProgramCommand } from '../commands/command.ts'
import { EXIT_CODES, EXIT_CODE_MEANINGS } from '../process/exit-codes.ts'
import { type Option, defaultText, flagOf, oneOf, variableOf } from '../options/option-table.ts'
import { OTHER_VARIABLES } from '../options/environment.ts'
import { GROUPS } from '../options/tables/groups.ts'
import { numberText } from '../options/read-value.ts'

/** The part of a command that the page describes. */
type Described = Pick<ProgramCommand, 'name' | 'options'>

const INTRODUCTION = `# Configuration

<!-- Written by "npm run docs" from src/cli/options/tables and the commands; do not edit. -->

Each option can be given in three ways. A flag goes before a variable, a variable before the config file, and that
before the default.

- **Flag**: \`--drain-timeout 10\`. A switch is \`--spin\`, or \`--no-spin\` against a variable or file that turns it
  on. A list is given by repeating the flag.
- **Environment**: \`PETALS_DRAIN_TIMEOUT=10\`. A switch is true or false (also yes, no, 1, 0), a list is separated by
  commas or spaces, and an empty variable gives nothing. An option of other commands is ignored; a \`PETALS_\` variable
  that no command knows is refused.
- **File**: YAML, named by \`--config FILE\` or \`PETALS_CONFIG\`. A key is \`drainTimeout\` or \`drain-timeout\`. Keys
  at the top level are for every command that has the option; keys in a map under a command's name are for that command
  alone and go before those. Unknown keys are refused. [config/](../config) has examples.

Of two options that exclude each other, the one given in the higher place counts.
`

/** The text of docs/configuration.md. */
export function configurationPage(commands: readonly Described[]): string {
  const rows = optionRows(commands)
  const groups = new Set([...GROUPS, ...rows.map(({ option }) => option.group)])
  const sections = [...groups].map((group) => groupSection(group, rows, commands.length))
  return [INTRODUCTION, ...sections, variablesSection(), exitCodesSection()].join('\n')
}

interface Row {
  readonly name: string
  readonly option: Option
  readonly commands: string[]
}

/** The rows of all options. An option that several commands share is one row, unless they describe it differently. */
function optionRows(commands: readonly Described[]): Row[] {
  const rows = new Map<string, Row>()
  for (const command of commands) {
    for (const [name, option] of Object.entries(command.options)) {
      const key = JSON.stringify([name, option.group, option.description, defaultText(option), option.reason])
      const row = rows.get(key) ?? { name, option, commands: [] }
      rows.set(key, row)
      row.commands.push(command.name)
    }
  }
  return [...rows.values()]
}

function groupSection(group: string, rows: readonly Row[], numCommands: number): string {
  const lines = rows
    .filter(({ option }) => option.group === group)
    .map(({ name, option, commands }) =>
      tableRow([
        `${option.short === undefined ? '' : `\`-${option.short}\`, `}\`${flagOf(name)}\``,
        `\`${variableOf(name)}\``,
        typeText(option),
        shownDefault(option),
        commands.length === numCommands ? 'all' : commands.join(', '),
        option.reason === undefined ? option.description : `${option.description}. *${option.reason}*`,
      ]),
    )
  return `## ${group}\n\n${header(['flag', 'variable', 'type', 'default', 'commands', 'meaning'])}${lines.join('')}`
}

function typeText(option: Option): string {
  if (option.type === 'flag') return 'switch'
  if (option.type === 'size') return 'size, like 500MB or 10GiB'
  if (option.type === 'list') return 'list of texts'
  if (option.type !== 'text') return numberText(option)
  if (option.choices !== undefined) return oneOf(option.choices)
  return option.isFile === true ? 'path' : 'text'
}

function shownDefault(option: Option): string {
  if (option.type === 'flag') return 'off'
  return defaultText(option) ?? 'none'
}

function variablesSection(): string {
  const rows = Object.entries(OTHER_VARIABLES).map(([variable, meaning]) => tableRow([`\`${variable}\``, meaning]))
  return `## Other variables\n\nThese are no options.\n\n${header(['variable', 'meaning'])}${rows.join('')}`
}

function exitCodesSection(): string {
  const names = Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]
  const rows = names.map((name) => tableRow([String(EXIT_CODES[name]), EXIT_CODE_MEANINGS[name]]))
  return `## Exit codes\n\n${header(['code', 'meaning'])}${rows.join('')}`
}

function header(columns: readonly string[]): string {
  return tableRow(columns) + tableRow(columns.map(() => '---'))
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
}
