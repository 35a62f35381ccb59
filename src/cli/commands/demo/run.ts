import { readFile } from 'node:fs/promises'
import { openCheckpoint } from '../../../checkpoint/checkpoint.ts'
import { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'
import { BUNDLED_GOLDEN, BUNDLED_MODEL } from '../../values/bundled-model.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import type { DemoValues } from './options.ts'
import type { Shutdown } from '../../process/shutdown.ts'
import { type LocalSwarm, type LocalSwarmEvent, startLocalSwarm } from '../../process/local-swarm.ts'
import { Interruptible } from '../../process/interruptible.ts'
import { readLines } from '../../terminal/lines.ts'
import { createLogger } from '../../terminal/logger.ts'
import { orAborted } from '../../../base/abort.ts'
import { splitEvenly } from '../../values/span.ts'
import { TextPrinter, describeResult } from '../../terminal/text-printer.ts'

const NUM_SERVERS = 3
const MAX_NEW_TOKENS = 64

/** Demonstrates a swarm on this machine. The processes that it starts always end with this one. */
export async function runDemo(values: DemoValues, { shutdown }: CommandContext): Promise<void> {
  const { signal } = shutdown
  const cleanup = new Cleanup()
  try {
    const swarm = await startSwarm(values.device, signal)
    cleanup.add(() => swarm.stop())
    await orAborted(show(values, swarm, cleanup, shutdown), signal)
  } finally {
    await cleanup.run()
  }
}

async function show(values: DemoValues, swarm: LocalSwarm, cleanup: Cleanup, shutdown: Shutdown): Promise<void> {
  const { signal } = shutdown
  const logger = await createLogger(values.logLevel)
  const model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, {
    bootstrap: [swarm.bootstrap],
    threads: 1,
    logger,
  })
  cleanup.add(() => model.close())
  signal.throwIfAborted()

  const printer = new TextPrinter(model)
  const options = { maxNewTokens: MAX_NEW_TOKENS, signal }
  const prompt = await firstPrompt()
  say(values.once ? '' : `\nThe swarm stands. Its answer to a first prompt, token by token:\n\n> ${prompt}`)
  printer.note(describeResult(await printer.print(prompt, options)))
  if (values.once) return
  say(`\nTo see who holds what, from another terminal:\n  npx petals-node status --bootstrap ${swarm.bootstrap}`)
  say('Type a text and press Enter to have it continued; an empty line or Ctrl-D leaves.')
  const work = new Interruptible((text) => printer.note(text))
  cleanup.add(shutdown.onInterrupt(() => work.interrupt()))
  await readLines(
    async (line) => {
      work.begin()
      if (line.trim() === '') return false
      const result = await work.run((stop) => printer.print(line, { ...options, signal: stop }))
      printer.note(describeResult(result))
      return true
    },
    { signal, isTyped: process.stdin.isTTY },
  )
}

async function startSwarm(device: string, signal: AbortSignal): Promise<LocalSwarm> {
  const {
    config: { numBlocks },
  } = await openCheckpoint(BUNDLED_MODEL)
  say(
    `Starting a swarm on this machine: a bootstrap node and ${NUM_SERVERS} servers that share the model's ` +
      `${numBlocks} blocks.`,
  )
  return startLocalSwarm({
    model: BUNDLED_MODEL,
    spans: splitEvenly(numBlocks, NUM_SERVERS),
    extraArgs: ['--device', device],
    onEvent: (event) => say(describe(event)),
    signal,
  })
}

function describe(event: LocalSwarmEvent): string {
  if (event.type === 'died') return `\n${event.name} has ended (${event.exit}). ${describeCure(event)}`
  return `  ${event.name.padEnd(12)} ready after ${event.seconds.toFixed(1)} s`
}

/** What the user can do while sessions wait for a server to take over the blocks. */
function describeCure({ blocks, bootstrap }: LocalSwarmEvent & { readonly type: 'died' }): string {
  if (blocks === null) return 'The servers know each other and go on without it.'
  return (
    'Nobody holds its blocks now; start another, from another terminal:\n' +
    `  npx petals-node serve --blocks ${blocks} --bootstrap ${bootstrap}`
  )
}

async function firstPrompt(): Promise<string> {
  const { greedy } = JSON.parse(await readFile(BUNDLED_GOLDEN, 'utf8')) as { greedy: { prompt: string }[] }
  return greedy[0]!.prompt
}

/** Prints a line on stderr, since stdout belongs to the generated text. */
function say(line: string): void {
  if (line !== '') process.stderr.write(`${line}\n`)
}
