import { UsageError, errorMessage } from '../../base/errors.ts'
import { isJsonObject } from '../../checkpoint/files/json.ts'
import type { ChatMessage } from '../../client/chat/messages.ts'

const ROLES = ['system', 'user', 'assistant']

/** Reads a conversation, a JSON array of messages. Throws `USAGE`, which begins with `label`. */
export function readMessages(text: string, label: string): ChatMessage[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${label}: ${shown(text)} is no JSON: ${errorMessage(error)}`, { cause: error })
  }
  const messages: readonly unknown[] = Array.isArray(value) ? value : []
  const wrong = messages.find((message) => !isMessage(message))
  if (messages.length > 0 && wrong === undefined) return messages as ChatMessage[]
  throw new UsageError(
    `${label}: expected an array of messages like {"role": "user", "content": "Hi"}, with the roles ` +
      `${ROLES.join(', ')}, not ${shown(wrong === undefined ? text : JSON.stringify(wrong))}`,
  )
}

function isMessage(value: unknown): value is ChatMessage {
  return isJsonObject(value) && ROLES.includes(value['role'] as string) && typeof value['content'] === 'string'
}

/** The beginning of a text, quoted. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
