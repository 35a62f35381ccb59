import { runTexts } from '../../generating/run.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { finishReasonOf } from '../finish-reason.ts'
import { chatLogprobs, learnTokens } from '../logprobs.ts'
import { FINGERPRINT } from '../fingerprint.ts'
import { timingsOf, usageOf } from '../usage.ts'
import { type AnswerStep, ChatAnswer } from './answer.ts'
import type { ChatContext } from './context.ts'

/** Answers a chat when all of it is there. */
export async function sendChat({ modules, exchange, body, request, id, created }: ChatContext): Promise<void> {
  const answers = Array.from({ length: request.n }, () => new WholeAnswer())
  const summary = await runTexts(modules, exchange, request, (event) => {
    if (event.kind === 'chunk') answers[event.index]!.add(answers[event.index]!.answer.push(event))
    if (event.kind === 'end') answers[event.index]!.end(finishReasonOf(event.result.finishReason))
  })
  const { tokens } = request.model.served
  if (body.logprobs === true) await Promise.all(answers.map((answer) => learnTokens(tokens, answer)))
  const [promptIds] = request.prompts
  exchange.sendJson(200, {
    id,
    object: 'chat.completion',
    created,
    model: request.model.id,
    choices: answers.map((answer, index) => ({
      index,
      message: { role: 'assistant', content: answer.content, refusal: null },
      logprobs: body.logprobs === true ? { content: chatLogprobs(tokens, answer), refusal: null } : null,
      finish_reason: answer.finishReason,
      ...(body.return_token_ids === true && { token_ids: answer.tokenIds }),
    })),
    usage: usageOf(summary),
    system_fingerprint: FINGERPRINT,
    timings: timingsOf(summary),
    ...(body.return_token_ids === true && { prompt_token_ids: promptIds }),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  })
}

class WholeAnswer {
  readonly answer = new ChatAnswer()
  readonly tokenIds: number[] = []
  readonly logprobs: AnswerStep['logprobs'][number][] = []
  content = ''
  finishReason = 'stop'

  add(step: AnswerStep | undefined): void {
    if (step === undefined) return
    for (const { text } of step.parts) this.content += text
    for (const id of step.tokenIds) this.tokenIds.push(id)
    for (const each of step.logprobs) this.logprobs.push(each)
  }

  end(reason: string): void {
    this.add(this.answer.finish())
    this.finishReason = reason
  }
}
