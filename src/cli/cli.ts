import yargs from 'yargs'
import { PetalsError, UsageError, errorCode, errorMessage } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { closest } from '../base/closest.ts'
import type { CommandContext, ProgramCommand } from './commands/command.ts'
import { InterruptedError, exitCodeOf } from './process/exit-codes.ts'

/** First words of a command line that are no commands. */
const GLOBAL_WORDS = new Set(['help', '--help', '-h', '--version'])

const MAX_WIDTH = 110

/** Runs one command line and exits with its exit code. Errors are printed on stderr. */
export async function runCli(args: readonly string[], given: Omit<CommandContext, 'report'>): Promise<void> {
  // An option that cannot be read ends the run before its command has seen any.
  const context = { ...given, report: { json: args.includes('--json') } }
  try {
    await parse(args, context)
  } catch (error) {
    if (context.report.json) reportJson(error)
    report(error, args, context.commands)
    process.exitCode = exitCodeOf(error)
  }
  // Everything is closed, but a library's timer may still run, so the process must exit. This write ends after all
  // earlier ones; where it fails, `watchOutput` ends the process.
  process.stdout.write('', (error) => {
    if (error == null) process.exit()
  })
}

async function parse(args: readonly string[], context: CommandContext): Promise<void> {
  const program = yargs([...args])
    .scriptName('petals-node')
    .locale('en')
    .version(VERSION)
    .help()
    .alias('help', 'h')
    .usage('$0 COMMAND [options]\n\nRun large language models across the machines of a swarm.')
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .exitProcess(false)
    .fail((message, error) => {
      throw isOfYargs(error) ? usageError(error.message) : (error ?? usageError(message))
    })
  program.wrap(Math.min(MAX_WIDTH, program.terminalWidth()))
  for (const command of context.commands) command.addTo(program, context)
  checkCommand(args, context.commands)
  await program.parseAsync()
}

/** Whether an error comes from yargs and so is about usage. */
function isOfYargs(error: Error | undefined): error is Error {
  return error?.name === 'YError'
}

function usageError(message: string): UsageError {
  const flag = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
  return new UsageError(flag === undefined ? message : `--${flag} needs a value`)
}

/**
 * Checks that a command is given and exists. yargs itself suggests a command only for some typing errors, and accepts a
 * missing command.
 */
function checkCommand([name]: readonly string[], commands: readonly ProgramCommand[]): void {
  const names = commands.map((command) => command.name)
  if (name === undefined) throw new UsageError(`no command given; there are ${names.join(', ')}`)
  if (names.includes(name) || GLOBAL_WORDS.has(name)) return
  const near = closest(name, names)
  if (name.startsWith('-')) throw new UsageError(`a command comes before its options, like petals-node serve ${name}`)
  const cure = near === undefined ? `; there are ${names.join(', ')}` : `: did you mean ${near}?`
  throw new UsageError(`there is no command ${JSON.stringify(name)}${cure}`)
}

/** With --json a script finds the error where it looks for the result. */
function reportJson(error: unknown): void {
  if (error instanceof InterruptedError) return
  process.stdout.write(`${JSON.stringify({ error: { code: errorCode(error), message: errorMessage(error) } })}\n`)
}

function report(error: unknown, args: readonly string[], commands: readonly ProgramCommand[]): void {
  if (error instanceof InterruptedError) return
  process.stderr.write(`petals-node: ${errorMessage(error)}\n`)
  const command = commands.find(({ name }) => name === args[0])
  if (error instanceof UsageError)
    process.stderr.write(`See: petals-node ${command === undefined ? '' : `${command.name} `}--help\n`)
  else if (error instanceof PetalsError) process.stderr.write(`See: docs/troubleshooting.md, ${error.code}\n`)
  else process.stderr.write(faultText(error, args))
}

/** The text for an unexpected error, with its stack: only the place in the code helps. */
function faultText(error: unknown, args: readonly string[]): string {
  if (!/--log-level[ =](debug|trace)/.test(args.join(' ')))
    return 'This may be a fault of petals-node: --log-level debug shows where it happened\n'
  return `${error instanceof Error ? error.stack : String(error)}\n`
}
