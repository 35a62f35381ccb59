import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import type { EndsRunner } from '../../../src/engine/ends/ends-runner.ts'
import { HeadRuns } from '../../../src/engine/ends/head-runs.ts'
import type { EndsEvent, EndsResult, HeadCommand } from '../../../src/engine/ends/messages.ts'
import { Choosers } from '../../../src/engine/ends/choosers.ts'
import type { BeamCandidate } from '../../../src/sampling/beam-sampler.ts'
import type { ResolvedOptions } from '../../../src/sampling/options/options.ts'
import type { Sample } from '../../../src/sampling/sampler.ts'

const HIDDEN = 2
const VOCAB = 4

/** Logits of a row: its first hidden state is the likeliest token, its second the logit of that. */
class FakeHead implements EndsRunner {
  readonly rowsOfRuns: number[] = []
  failure: Error | undefined

  embed(): Float32Array {
    throw new Error('not asked for')
  }

  head(hidden: Float32Array, into = new Float32Array((hidden.length / HIDDEN) * VOCAB)): Float32Array {
    if (this.failure !== undefined) throw this.failure
    const rows = hidden.length / HIDDEN
    this.rowsOfRuns.push(rows)
    assert.equal(into.length, rows * VOCAB)
    into.fill(0)
    for (let row = 0; row < rows; row++) into[row * VOCAB + hidden[row * HIDDEN]!] = hidden[row * HIDDEN + 1]!
    return into
  }

  close(): void {}
}

let head: FakeHead
let choosers: Choosers
let runs: HeadRuns
beforeEach(() => {
  head = new FakeHead()
  choosers = new Choosers()
  runs = new HeadRuns(head, choosers, { hiddenSize: HIDDEN, outputSize: VOCAB })
})

function open(type: 'open-text' | 'open-beams', textId: number, options: ResolvedOptions): void {
  choosers.obey({ type, textId, chooser: 0, options, ids: [0] })
}

function choose(textId: number, token: number, logit = 5): HeadCommand {
  return { type: 'choose', taskId: textId, textId, hidden: Float32Array.of(token, logit) }
}

function run(commands: readonly HeadCommand[]): Map<number, EndsResult | string> {
  const answers = new Map<number, EndsResult | string>()
  const post = (event: EndsEvent): void => {
    if (event.type === 'done') answers.set(event.taskId, event.result)
    else if (event.type === 'failed') answers.set(event.taskId!, event.code)
  }
  runs.run(commands, { post })
  return answers
}

test('texts with different options, logits and beams that wait together share one run', () => {
  open('open-text', 1, { maxNewTokens: 5 })
  open('open-text', 2, { maxNewTokens: 5, logprobs: true, suppressTokens: [2] })
  open('open-beams', 3, { maxNewTokens: 5, numBeams: 2 })
  const hidden = Float32Array.of(1, 2, 3, 4)
  const answers = run([
    choose(1, 3),
    choose(2, 2),
    { type: 'head', taskId: 9, hidden: Float32Array.of(1, 7) },
    {
      type: 'candidates',
      taskId: 3,
      textId: 3,
      hidden,
      steps: [
        { parent: 0, tokenId: 1, total: -1 },
        { parent: 0, tokenId: 2, total: -1 },
      ],
    },
  ])
  assert.deepEqual(head.rowsOfRuns, [5])
  assert.deepEqual(answers.get(1), { tokenId: 3, logprob: undefined })
  const second = answers.get(2) as Sample
  assert.equal(second.tokenId, 0, 'its own option took the likeliest out')
  assert.ok(Math.abs(second.logprob! + Math.log(3 + Math.exp(5))) < 1e-6)
  assert.deepEqual(answers.get(9), Float32Array.of(0, 7, 0, 0))
  const candidates = answers.get(3) as readonly BeamCandidate[]
  assert.deepEqual(
    candidates.slice(0, 2).map(({ beam, tokenId }) => [beam, tokenId]),
    [
      [1, 3],
      [0, 1],
    ],
  )
})

test('more rows than fit in a run come in several, and each is answered', () => {
  const texts = Array.from({ length: 150 }, (_, i) => i + 1)
  for (const textId of texts) open('open-text', textId, { maxNewTokens: 5 })
  const answers = run(texts.map((textId) => choose(textId, textId % VOCAB)))
  assert.deepEqual(head.rowsOfRuns, [64, 64, 22])
  for (const textId of texts) assert.equal((answers.get(textId) as Sample).tokenId, textId % VOCAB)
})

test('a text is what was chosen for it: penalties count its own tokens, and nothing has to be sent again', () => {
  open('open-text', 1, { maxNewTokens: 5, noRepeatNgramSize: 1 })
  assert.deepEqual(
    [1, 2, 3].map(() => (run([choose(1, 3)]).get(1) as Sample).tokenId),
    [3, 1, 2],
  )
})

test('what is wrong with one row fails that one alone', () => {
  open('open-text', 1, { maxNewTokens: 5 })
  open('open-text', 2, { maxNewTokens: 5, suppressTokens: [0, 1, 2, 3] })
  open('open-text', 3, { maxNewTokens: 5 })
  choosers.obey({ type: 'close-text', textId: 3 })
  open('open-text', 4, { maxNewTokens: 5 })
  const answers = run([choose(1, 1, NaN), choose(2, 1), choose(3, 1), choose(4, 1)])
  assert.deepEqual([answers.get(1), answers.get(2), answers.get(3)], ['LOGITS_NAN', 'USAGE', 'INTERNAL'])
  assert.equal((answers.get(4) as Sample).tokenId, 1)
})

test('a run that fails fails all that it was for, and the next one goes on', () => {
  open('open-text', 1, { maxNewTokens: 5 })
  open('open-text', 2, { maxNewTokens: 5 })
  head.failure = new Error('no memory')
  assert.deepEqual([...run([choose(1, 1), choose(2, 1)]).values()], ['INTERNAL', 'INTERNAL'])
  head.failure = undefined
  assert.equal((run([choose(1, 1)]).get(1) as Sample).tokenId, 1)
})

/** Of each event, whether it tells what the head takes for a row. */
function learnt(commands: readonly HeadCommand[]): boolean[] {
  const known: boolean[] = []
  const post = (event: EndsEvent) => void known.push(event.type === 'done' && event.headSeconds !== undefined)
  runs.run(commands, { post })
  return known
}

test('what the head takes for a row is only learnt from one that had a run to itself', () => {
  open('open-text', 1, { maxNewTokens: 5 })
  open('open-text', 2, { maxNewTokens: 5 })
  assert.deepEqual(learnt([choose(1, 3)]), [true])
  assert.deepEqual(learnt([choose(1, 3), choose(2, 2)]), [false, false])
  assert.deepEqual(learnt([{ type: 'head', taskId: 9, hidden: Float32Array.of(1, 7) }]), [true])
  assert.deepEqual(learnt([{ type: 'head', taskId: 9, hidden: Float32Array.of(1, 7, 2, 7) }]), [false])
})
