import type { Argv, Options } from 'yargs'
import { UsageError } from '../../base/errors.ts'
import {
  type Option,
  type OptionTable,
  type OptionValues,
  defaultText,
  flagOf,
  oneOf,
} from '../options/option-table.ts'
import { fromEnvironment } from '../options/environment.ts'
import { fromFlags } from '../options/flags.ts'
import type { GivenOptions } from '../options/given.ts'
import { nameFlags } from '../options/name-flags.ts'
import { choose, nameSource, readOptions } from '../options/read-options.ts'
import type { Shutdown } from '../process/shutdown.ts'

/** What a command is run with besides the values of its options. */
export interface CommandContext {
  readonly shutdown: Shutdown
  /** How this run reports; a command that was chosen fills it in. */
  readonly report: { json: boolean }
  /** All commands of the program. */
  readonly commands: readonly ProgramCommand[]
}

/** A command of the program: its options, help texts and what it runs. */
export interface Command<T extends OptionTable = OptionTable> {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly options: T
  /** What the one word that may stand among the options is; without this, none may. */
  readonly argument?: string
  /** Pairs of a command line and what it does. */
  readonly examples: readonly (readonly [string, string])[]
  /** Runs the command. Imports what it needs itself, so that --help stays quick. Rejects with the error to report. */
  readonly run: (values: OptionValues<T>, context: CommandContext, argument?: string) => Promise<void>
}

/** A command as the program uses it, whatever its options. */
export interface ProgramCommand extends Pick<Command, 'name' | 'summary' | 'options' | 'examples'> {
  /** Adds the command to yargs, which runs it if it is chosen. */
  addTo(program: Argv, context: CommandContext): void
}

/** Defines a command; its type ensures that `run` takes the values of the command's options. */
export function defineCommand<const T extends OptionTable>(command: Command<T>): Command<T> & ProgramCommand {
  return {
    ...command,
    addTo: (program, context) => {
      addCommand(program, command, context)
    },
  }
}

const SOURCES =
  'Each option is also a variable (--log-level: PETALS_LOG_LEVEL) and a line of a --config file (logLevel: debug).'

function addCommand<T extends OptionTable>(program: Argv, command: Command<T>, context: CommandContext): void {
  program.command(
    command.name,
    command.summary,
    (builder: Argv) => {
      for (const [name, option] of Object.entries(command.options))
        builder.option(flagOf(name).slice(2), yargsOption(option, command.argument !== undefined))
      for (const [line, meaning] of command.examples) builder.example(line, meaning)
      return builder
        .usage(`$0 ${command.name} ${argumentUsage(command)}[options]\n\n${command.summary}`)
        .epilogue(SOURCES)
    },
    async (argv) => {
      const {
        _: [, ...strays],
        $0: _program,
        ...raw
      } = argv as Record<string, unknown> & { _: unknown[] }
      const [argument, ...more] = command.argument === undefined ? [undefined, ...strays] : strays
      if (more.length > 0) throw new UsageError(`unexpected ${JSON.stringify(String(more[0]))}: ${strayCure(command)}`)
      const given = await gather(command, context.commands, raw)
      context.report.json ||= wantsJson(command.options, given)
      const values = readOptions(command.options, given)
      await command
        .run(values, context, argument === undefined ? undefined : String(argument))
        .catch((error: unknown) => {
          throw nameSource(nameFlags(error, command.options), given)
        })
    },
  )
}

function argumentUsage({ argument }: Pick<Command, 'argument'>): string {
  return argument === undefined ? '' : `[${argument.toUpperCase()}] `
}

function strayCure({ argument }: Pick<Command, 'argument'>): string {
  return argument === undefined ? 'options begin with --' : `put quotes around a ${argument} of several words`
}

/** Whether `--json` was given, also where another option is wrong. */
function wantsJson({ json }: OptionTable, given: GivenOptions): boolean {
  return json?.type === 'flag' && readOptions({ json }, given).json
}

/** Collects the options that were given: a flag overrides the environment, which overrides the config file. */
async function gather(
  command: Pick<Command, 'name' | 'options'>,
  commands: readonly ProgramCommand[],
  raw: Readonly<Record<string, unknown>>,
): Promise<GivenOptions> {
  const known = Object.assign({}, ...commands.map(({ options }) => options)) as OptionTable
  const sources = [fromFlags(command.options, raw), fromEnvironment(process.env, command.options, known)]
  const file = choose(command.options, sources).get('config')?.texts[0]
  if (file !== undefined) {
    const { readConfigFile } = await import('../options/config-file.ts')
    sources.push(...(await readConfigFile(file, command, commands)))
  }
  return choose(command.options, sources)
}

/**
 * An option for yargs, which only lists it in --help and passes its text on. It has no type, since yargs would turn a
 * number that is none into NaN, and a flag's value into false; and no default, since we fill it in. Only beside an
 * argument a flag must be known as one, or it would take the argument as its value.
 */
function yargsOption(option: Option, besideArgument: boolean): Options {
  const shown = defaultText(option)
  const notes = [
    ...(option.type === 'text' && option.choices !== undefined ? [oneOf(option.choices)] : []),
    ...(shown === undefined ? [] : [`default: ${shown}`]),
  ].join('; ')
  return {
    describe: notes === '' ? option.description : `${option.description} (${notes})`,
    group: `${option.group}:`,
    ...(option.short !== undefined && { alias: option.short }),
    ...(option.type !== 'flag' && { nargs: 1 }),
    ...(option.type === 'flag' && besideArgument && { boolean: true, default: undefined }),
  }
}
