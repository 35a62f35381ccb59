import type { Argv, Options } from 'yargs'
import { UsageError } from '../base/errors.ts'
import { type Option, type OptionTable, type OptionValues, flagOf, readOptions } from './option-table.ts'
import type { Shutdown } from './shutdown.ts'

/** What a command is given beside its options. */
export interface CommandContext {
  readonly shutdown: Shutdown
}

export interface Command<T extends OptionTable = OptionTable> {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly options: T
  /** Pairs of a command line and what it does. */
  readonly examples: readonly (readonly [string, string])[]
  /** Imports what it needs itself, so that --help stays quick. Rejects with what went wrong. */
  readonly run: (values: OptionValues<T>, context: CommandContext) => Promise<void>
}

/** A command as the program sees it. */
export interface ProgramCommand extends Pick<Command, 'name' | 'summary' | 'options' | 'examples'> {
  /** Adds it to the program, which runs it if it is chosen. */
  addTo(program: Argv, context: CommandContext): void
}

/** Checks the types of a command's options against its `run`. */
export function defineCommand<const T extends OptionTable>(command: Command<T>): Command<T> & ProgramCommand {
  return { ...command, addTo: (program, context) => { addCommand(program, command, context) } }
}

function addCommand<T extends OptionTable>(program: Argv, command: Command<T>, context: CommandContext): void {
  program.command(command.name, command.summary, (builder: Argv) => {
    for (const [name, option] of Object.entries(command.options)) builder.option(flagOf(name).slice(2), yargsOption(option))
    for (const [line, meaning] of command.examples) builder.example(line, meaning)
    return builder.usage(`$0 ${command.name} [options]\n\n${command.summary}`)
  }, async (argv) => {
    const { _: [, ...strays], $0: _program, ...raw } = argv as Record<string, unknown> & { _: unknown[] }
    if (strays.length > 0) throw new UsageError(`unexpected ${JSON.stringify(String(strays[0]))}: options begin with --`)
    await command.run(readOptions(command.options, camelKeys(raw)), context)
  })
}

/**
 * Without a type yargs hands values over as text; with one it would make NaN of a number that is none, and false of a flag's
 * value. Defaults are ours to fill in.
 */
function yargsOption(option: Option): Options {
  const shown = option.defaultDescription ?? defaultText(option)
  const description = shown === undefined ? option.description : `${option.description} (default: ${shown})`
  return { describe: description, group: `${option.group}:`, ...(option.type !== 'flag' && { nargs: 1 }) }
}

function defaultText(option: Option): string | undefined {
  if (option.type === 'flag' || option.default === undefined) return undefined
  return String(option.default)
}

function camelKeys(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]))
}
