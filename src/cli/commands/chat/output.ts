import type { ChatAnswer } from '../../../client/chat-session/chat-session.ts'
import type { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'
import { TextPrinter, describeResult, describeWaiting } from '../../terminal/text-printer.ts'

/** Shows answers and notes of a chat. */
export interface ChatOutput {
  /** Shows a piece of an answer. */
  write(text: string): void
  end(answer: ChatAnswer): void
  note(text: string): void
}

/** Writes answers on stdout and everything else on stderr. */
export class TerminalOutput implements ChatOutput {
  readonly #printer: TextPrinter

  constructor(model: AutoDistributedModelForCausalLM) {
    this.#printer = new TextPrinter(model)
  }

  write(text: string): void {
    this.#printer.write(text)
  }

  end(answer: ChatAnswer): void {
    this.#printer.endText()
    if (!process.stderr.isTTY) return
    const figures = describeResult(answer, answer.isFull ? 'there is no more room' : undefined)
    this.#printer.note(`(${figures}; ${answer.newTokens} of ${answer.contextTokens} prompt tokens were new)`)
  }

  note(text: string): void {
    this.#printer.note(text)
  }
}

/** Writes a line of JSON on stdout for each answer. */
export class JsonOutput implements ChatOutput {
  constructor(model: AutoDistributedModelForCausalLM) {
    model.on('waiting', (waiting) => this.note(describeWaiting(waiting)))
  }

  write(): void {
    // The whole answer comes at its end.
  }

  end({ text, finishReason, tokenIds, contextTokens, newTokens, leftOut, isFull, seconds, seed }: ChatAnswer): void {
    this.#line({
      role: 'assistant',
      content: text,
      finishReason,
      contextTokens,
      newTokens,
      answerTokens: tokenIds.length,
      leftOut,
      isFull,
      ...(seed !== undefined && { seed }),
      seconds,
    })
  }

  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  #line(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`)
  }
}
