import { UsageError } from '../../../base/errors.ts'
import type { Conversation } from '../../../client/chat/conversation.ts'
import { closest } from '../../../base/closest.ts'
import type { SavedChats } from './saved-chat.ts'
import type { AnswerSettings } from './settings.ts'

/** What to do after a line: let the model answer, end the chat, or show a text. */
export type LineOutcome = { readonly kind: 'answer' | 'exit' } | { readonly kind: 'note'; readonly text: string }

/** What commands change. */
export interface ChatState {
  readonly conversation: Conversation
  readonly settings: AnswerSettings
  readonly files: SavedChats
}

interface ChatCommand {
  readonly argument?: string
  readonly meaning: string
  readonly apply: (state: ChatState, argument: string) => LineOutcome | Promise<LineOutcome>
}

const COMMANDS: Readonly<Record<string, ChatCommand>> = {
  retry: {
    meaning: 'have the last message answered again',
    apply: ({ conversation }) => (conversation.retry(), { kind: 'answer' }),
  },
  edit: {
    argument: 'TEXT',
    meaning: 'put TEXT in the place of the last message',
    apply: ({ conversation }, text) => (conversation.edit(needed('edit', text)), { kind: 'answer' }),
  },
  undo: {
    meaning: 'take the last message and its answer back',
    apply({ conversation }) {
      conversation.undo()
      return note(
        conversation.lastUser === undefined
          ? 'back at the beginning'
          : `back to the answer to: ${conversation.lastUser}`,
      )
    },
  },
  system: {
    argument: 'TEXT',
    meaning: 'tell the model TEXT before everything else; without TEXT nothing',
    apply: ({ conversation }, text) => (
      conversation.setSystem(text),
      note('the model is told so from the next answer on')
    ),
  },
  clear: {
    meaning: 'begin anew; what the model is told first stays',
    apply: ({ conversation }) => (conversation.clear(), note('a new conversation')),
  },
  set: {
    argument: 'NAME VALUE',
    meaning: 'how answers are generated, e.g. temperature 0.8; alone: what can be set, and how it is',
    apply: ({ settings }, text) => note(text === '' ? settings.describe() : settings.set(text)),
  },
  save: {
    argument: 'FILE',
    meaning: 'write the conversation into FILE, as JSON',
    async apply({ conversation, files }, name) {
      await files.save(needed('save', name), conversation.messages)
      return note(`saved ${plural(conversation.messages.length, 'message')}`)
    },
  },
  load: {
    argument: 'FILE',
    meaning: 'go on with the conversation in FILE, in the place of this one',
    async apply({ conversation, files }, name) {
      conversation.load(await files.load(needed('load', name)))
      const { lastUser } = conversation
      return note(
        `loaded ${plural(conversation.messages.length, 'message')}` +
          (lastUser === undefined ? '' : `; the last question was: ${lastUser}`),
      )
    },
  },
  help: { meaning: 'this list', apply: () => note(helpText()) },
  exit: { meaning: 'leave, as Ctrl-D does', apply: () => ({ kind: 'exit' }) },
}

/**
 * Applies a line to the conversation: a command `/name argument`, or a message (`//` at its beginning stands for `/`).
 * Throws `USAGE`.
 */
export async function applyLine(state: ChatState, line: string): Promise<LineOutcome> {
  const [, name, argument = ''] = /^\/([a-z]\w*)(?:\s+(.*))?$/is.exec(line.trim()) ?? []
  if (name === undefined) {
    state.conversation.ask(line.startsWith('//') ? line.slice(1) : line)
    return { kind: 'answer' }
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined
  if (command === undefined) throw unknownCommand(name)
  if (command.argument === undefined && argument !== '') throw new UsageError(`/${name} takes nothing behind it`)
  return command.apply(state, argument.trim())
}

function helpText(): string {
  const rows = Object.entries(COMMANDS).map(
    ([name, { argument, meaning }]) => [`/${name}${argument === undefined ? '' : ` ${argument}`}`, meaning] as const,
  )
  const width = Math.max(...rows.map(([usage]) => usage.length))
  return [
    ...rows.map(([usage, meaning]) => `  ${usage.padEnd(width)}  ${meaning}`),
    '  Ctrl-C stops an answer or a wait, twice ends; // begins a message with a /;',
    '  Alt-Enter, or a backslash at the end of a line, breaks a line; a paste is one message',
  ].join('\n')
}

function needed(name: string, text: string): string {
  if (text !== '') return text
  throw new UsageError(`/${name} needs a text behind it`)
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function note(text: string): LineOutcome {
  return { kind: 'note', text }
}

function unknownCommand(name: string): UsageError {
  const near = closest(name, Object.keys(COMMANDS))
  return new UsageError(
    `there is no command /${name}${near === undefined ? '; /help lists them' : `: did you mean /${near}?`}`,
  )
}
