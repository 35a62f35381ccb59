import { commonPrefix } from '../../../base/common-prefix.ts'
import type { ChatMessage, ChatTemplate } from '../../chat/messages.ts'
import type { DataTokenizer, Learned } from './encode.ts'

/** A part of a text, in characters. */
interface Stretch {
  readonly from: number
  readonly until: number
}

/** What conversations are encoded with. */
export interface ChatEncoding {
  readonly template: ChatTemplate
  readonly tokenizer: DataTokenizer
  /** Tokens that end an answer: of what the template puts after one, the first such token is learned and no more. */
  readonly endIds: readonly number[]
}

/**
 * A conversation as the model's template prints it, with what the assistant said, to the end of each answer, as what is
 * learned. Where the answers stand follows from printing the conversation up to before and after each. A template that
 * prints an earlier answer otherwise than the last one (as those of reasoning models do) gives one text for each
 * answer. Throws `CHAT_TEMPLATE`.
 */
export async function encodeChat(encoding: ChatEncoding, messages: readonly ChatMessage[]): Promise<Learned[]> {
  const { template } = encoding
  const last = messages.findLastIndex(({ role }) => role === 'assistant')
  const heard = messages.slice(0, last + 1)
  const print = (until: number): string => template.render(heard.slice(0, until), { addGenerationPrompt: false })
  const answers = [...heard.keys()].filter((i) => heard[i]!.role === 'assistant')
  const texts = answers.map((i) => ({ text: print(i + 1), stretch: answerAt(template, heard, i, print(i + 1)) }))
  const whole = texts.at(-1)!.text
  if (texts.every(({ text }) => whole.startsWith(text)))
    return [
      await encode(
        encoding,
        whole,
        texts.map(({ stretch }) => stretch),
      ),
    ]
  return Promise.all(texts.map(({ text, stretch }) => encode(encoding, text, [stretch])))
}

/** Where answer `i` stands in `text`, the conversation up to its end: behind what the model is given to begin it. */
function answerAt(template: ChatTemplate, messages: readonly ChatMessage[], i: number, text: string): Stretch {
  // Templates refuse an empty conversation.
  if (i === 0) return { from: Math.max(0, text.indexOf(messages[0]!.content.trim())), until: text.length }
  const before = template.render(messages.slice(0, i))
  let from = 0
  while (from < before.length && before[from] === text[from]) from++
  return { from, until: text.length }
}

async function encode(
  { tokenizer, endIds }: ChatEncoding,
  text: string,
  stretches: readonly Stretch[],
): Promise<Learned> {
  const idsOf = async (until: number): Promise<number[]> =>
    until === 0 ? [] : tokenizer.encode(text.slice(0, until), { addSpecialTokens: false })
  const ids = await idsOf(text.length)
  const learned = new Uint8Array(ids.length)
  for (const { from, until } of stretches) {
    const [before, after] = await Promise.all([idsOf(from), idsOf(until)])
    const first = commonPrefix(before, ids)
    const common = commonPrefix(after, ids)
    // A token that reaches beyond the end holds some of the answer.
    const end = common < after.length ? Math.min(ids.length, common + 1) : common
    learned.fill(1, first, end)
    const stop = ids.findIndex((id, at) => at >= first && at < end && endIds.includes(id))
    if (stop >= 0) learned.fill(0, stop + 1, end)
  }
  return { ids, isLearned: (i) => learned[i] === 1 }
}
