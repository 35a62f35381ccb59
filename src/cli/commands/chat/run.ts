import { UsageError } from '../../../base/errors.ts'
import type { OnFull } from '../../../client/chat-session/chat-session.ts'
import { openChat } from '../../../client/chat-session/open-chat.ts'
import { requireSwarm } from '../../join/addresses.ts'
import type { ChatValues } from './options.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import { toGenerationOptions } from '../../values/generation-values.ts'
import { Interruptible } from '../../process/interruptible.ts'
import { readLines } from '../../terminal/lines.ts'
import { createLogger } from '../../terminal/logger.ts'
import { openClient } from '../../join/open-client.ts'
import { orAborted } from '../../../base/abort.ts'
import type { Shutdown } from '../../process/shutdown.ts'
import { ChatLoop } from './loop.ts'
import { JsonOutput, TerminalOutput } from './output.ts'
import { AnswerSettings } from './settings.ts'

const NEW_TOKENS = 512

/** Runs a chat until the input ends. Rejects with an `InterruptedError` if it is interrupted. */
export async function runChat(values: ChatValues, { shutdown }: CommandContext): Promise<void> {
  requireSwarm(values)
  if (values.json && process.stdin.isTTY)
    throw new UsageError('--json takes its turns from a file or pipe: petals-node chat --json < questions.txt')
  const cleanup = new Cleanup()
  try {
    await orAborted(chat(values, cleanup, shutdown), shutdown.signal)
  } finally {
    await cleanup.run()
  }
}

async function chat(values: ChatValues, cleanup: Cleanup, shutdown: Shutdown): Promise<void> {
  const { template, sessionTokens } = values
  const logger = await createLogger(values.logLevel)
  const model = await openClient(values, { logger, cleanup, signal: shutdown.signal })
  const { session, eosTokenIds, stopStrings } = await openChat(model, { template, sessionTokens })
  cleanup.add(() => session.close())
  shutdown.signal.throwIfAborted()

  const { generation } = model.checkpoint
  const output = values.json ? new JsonOutput(model) : new TerminalOutput(model)
  const work = new Interruptible((text) => output.note(text))
  const loop = new ChatLoop({
    session,
    output,
    settings: new AnswerSettings(values),
    work,
    options: (set) => {
      const own = toGenerationOptions(set, generation, NEW_TOKENS)
      return {
        ...own,
        maxNewTokens: own.maxNewTokens ?? generation.options.maxNewTokens ?? NEW_TOKENS,
        eosTokenIds,
        stopStrings: [...stopStrings, ...(own.stopStrings ?? [])],
        onFull: set.onFull as OnFull,
      }
    },
  })
  if (values.system !== undefined) loop.conversation.setSystem(values.system)
  if (process.stdin.isTTY) {
    cleanup.add(shutdown.onInterrupt(() => work.interrupt()))
    output.note('Type a message and press Enter; /help lists commands, Ctrl-D leaves.')
  }
  await readLines((line) => loop.take(line), {
    signal: shutdown.signal,
    isTyped: process.stdin.isTTY,
  })
}
