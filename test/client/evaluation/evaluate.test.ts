import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { EvaluateOptions, EvaluatedModel, EvaluationProgress } from '../../../src/client/evaluation/evaluate.ts'
import { evaluate } from '../../../src/client/evaluation/evaluate.ts'
import { AutoDistributedModelForSequenceClassification } from '../../../src/client/model/classification-model.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import type { TunedPrompts } from '../../../src/client/tuned/tuned-prompts.ts'
import { loadAdapter } from '../../../src/client/remote/adapters/active-adapter.ts'
import { loadDataset } from '../../../src/client/training/data/load-dataset.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { DEMO, type TestSwarm, startServers } from '../kit.ts'

interface Golden {
  readonly text: string
  readonly records: string[]
  readonly questions: object[]
  readonly numPrompts: number
  readonly perplexity: readonly {
    window: number
    stride: number
    records?: true
    prompts?: true
    perplexity: number
    loss: number
    tokens: number
  }[]
  readonly logLikelihoods: number[][]
  readonly lmEval: { logLikelihoods: number[][]; acc: number; acc_bytes: number; acc_stderr: number }
}

const golden = JSON.parse(await readFile(new URL('./reference.json', import.meta.url), 'utf8')) as Golden

let swarm: TestSwarm
let model: AutoDistributedModelForCausalLM
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-evaluation-'))
  // Blocks 4:8 are held twice.
  swarm = await startServers(
    DEMO,
    [
      [0, 4],
      [4, 8],
      [4, 8],
    ],
    {
      allowClientAdapters: true,
      adapterBytes: 2 ** 26,
    },
  )
  model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
})
after(async () => {
  await model.close()
  await swarm.stop()
  await rm(folder, { recursive: true })
})

function values(count: number, wave: (i: number) => number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.fround(wave(i)) * Math.fround(0.1))
}

/** As the script that wrote the reference makes them. */
function goldenPrompts(): TunedPrompts {
  const { hiddenSize, numBlocks } = model.checkpoint.config
  const { numPrompts } = golden
  return {
    before: fromFloat32(values(numPrompts * hiddenSize, Math.sin), [numPrompts, hiddenSize]),
    deep: fromFloat32(values(numBlocks * numPrompts * hiddenSize, Math.cos), [numBlocks, numPrompts, hiddenSize]),
  }
}

function near(value: number, reference: number, tolerance: number): void {
  assert.ok(Math.abs(value - reference) <= tolerance, `${value}, not ${reference}`)
}

/** The model, of which the blocks stop answering after so many batches. */
function failing(batches: number): EvaluatedModel {
  let left = batches
  const { layers } = model
  return Object.assign(Object.create(model) as AutoDistributedModelForCausalLM, {
    layers: {
      forward: async (...args: Parameters<typeof layers.forward>) => {
        if (left-- <= 0) throw new Error('gone')
        return layers.forward(...args)
      },
    },
  })
}

function refused(data: Parameters<typeof model.evaluate>[0], options: EvaluateOptions, message: RegExp): Promise<void> {
  return assert.rejects(model.evaluate(data, options), message)
}

describe('as transformers and lm-eval', () => {
  test('perplexity in sliding windows: of a text, of records, with tuned prompts', async () => {
    for (const { window, stride, records, prompts, ...reference } of golden.perplexity) {
      const data = records === true ? golden.records : { text: golden.text }
      const options = { window, stride, ...(prompts === true && { prompts: goldenPrompts() }) }
      const { perplexity } = await model.evaluate(data, options)
      assert.equal(perplexity!.tokens, reference.tokens)
      near(perplexity!.perplexity / reference.perplexity, 1, 1e-5)
      near(perplexity!.loss, reference.loss, 1e-5)
    }
  })

  test('multiple choice: log-likelihoods, and what is right by them, per token and per byte', async () => {
    const { choices } = await model.evaluate(golden.questions)
    for (const [i, { logLikelihoods }] of choices!.questions.entries())
      for (const [j, value] of logLikelihoods.entries()) {
        near(value, golden.logLikelihoods[i]![j]!, 1e-4)
        near(value, golden.lmEval.logLikelihoods[i]![j]!, 1e-4)
      }
    near(choices!.accuracy, golden.lmEval.acc, 1e-12)
    near(choices!.accuracyStandardError, golden.lmEval.acc_stderr, 1e-12)
    near(choices!.accuracyPerByte, golden.lmEval.acc_bytes, 1e-12)
  })

  test('an adapter changes what is measured, as its training has measured it', async () => {
    const adapter = await loadAdapter(join(DEMO, '..', 'demo-lora-moby'))
    const text = { text: golden.text }
    const { perplexity: plain } = await model.evaluate(text)
    const { perplexity: tuned } = await model.evaluate(text, { activeAdapter: adapter })
    assert.ok(tuned!.loss < plain!.loss - 0.1, `${tuned!.loss} of ${plain!.loss}`)
  })
})

describe('a classifier', () => {
  test('accuracy, and that of each class', async () => {
    const { hiddenSize } = model.checkpoint.config
    const head = Float32Array.from({ length: 3 * hiddenSize }, (_, i) => Math.sin(i * 7.3))
    const classifier = { score: fromFloat32(head, [3, hiddenSize]), labels: ['war', 'peace', 'trade'] }
    await using tells = await AutoDistributedModelForSequenceClassification.fromPretrained(DEMO, {
      bootstrap: swarm.bootstrap,
      classifier,
      threads: 1,
    })
    const texts = ['The army', 'A treaty of peace and commerce', 'Ships', 'The revenue of the year was large']
    const ids = await Promise.all(texts.map((text) => tells.encode(text)))
    const logits = new Float32Array((await tells.classify(ids)).data.slice().buffer)
    const found = texts.map((_, i) => [0, 1, 2].reduce((a, b) => (logits[i * 3 + b]! > logits[i * 3 + a]! ? b : a), 0))
    const labels = found.map((each, i) => (i === 1 ? (each + 1) % 3 : each))
    const { accuracy } = await tells.evaluate(texts.map((text, i) => ({ text, label: classifier.labels[labels[i]!] })))
    assert.equal(accuracy!.accuracy, 3 / 4)
    assert.equal(accuracy!.texts, 4)
    for (const [number, { label, texts: count, right }] of accuracy!.classes!.entries()) {
      assert.equal(label, classifier.labels[number])
      assert.equal(count, labels.filter((each) => each === number).length)
      assert.equal(right, labels.filter((each, i) => each === number && i !== 1).length)
    }
    await assert.rejects(tells.evaluate([{ text: 'War', label: 'famine' }]), /known are war, peace, trade/)
    await assert.rejects(tells.evaluate(['no label']), /another kind of model: AutoDistributedModelForCausalLM/)
  })
})

describe('broken off', () => {
  test('goes on where it was, with the same numbers to the last digit, and leaves nothing', async () => {
    const state = join(folder, 'state.json')
    const options: EvaluateOptions = { window: 32, stride: 8, batchTokens: 64, state }
    const whole = await model.evaluate({ text: golden.text }, options)
    assert.ok(!existsSync(state))
    await assert.rejects(evaluate(failing(6), { text: golden.text }, options), /gone/)
    const kept = JSON.parse(await readFile(state, 'utf8')) as { scores: { perplexity: unknown[] } }
    const done = kept.scores.perplexity.filter((score) => score !== null).length
    assert.ok(done > 0 && done < kept.scores.perplexity.length)

    const told: EvaluationProgress[] = []
    const resumed = await model.evaluate({ text: golden.text }, { ...options, onProgress: (each) => told.push(each) })
    assert.deepEqual(resumed, whole)
    assert.ok(told[0]!.resumedTokens > 0 && told[0]!.tokens === told[0]!.resumedTokens)
    assert.equal(told.at(-1)!.tokens, told.at(-1)!.totalTokens)
    assert.ok(!existsSync(state))
  })

  test('does not go on with other settings', async () => {
    const state = join(folder, 'other.json')
    await assert.rejects(evaluate(failing(1), { text: golden.text }, { window: 32, batchTokens: 64, state }), /gone/)
    await assert.rejects(model.evaluate({ text: golden.text }, { window: 16, batchTokens: 64, state }), {
      code: 'EVALUATION_STATE',
      message: /with data ".*", and ".*" was asked for/,
    })
  })
})

describe('what cannot be', () => {
  test('options and data are refused by name', async () => {
    await refused(['text'], { window: 4096 }, /window is 4096: this model takes 2 to 2048 tokens/)
    await refused(['text'], { window: 2047, prompts: goldenPrompts() }, /2 to 2045 tokens behind the tuned prompts/)
    await refused(['text'], { stride: 0 }, /stride is 0: expected 1 to 1024/)
    await refused(['text'], { metrics: ['bleu' as 'choices'] }, /metric "bleu": expected one of perplexity/)
    await refused(['text'], { metrics: ['choices'] }, /item 0: it is no object: expected \{"context"/)
    await refused({ text: 'a b' }, { metrics: ['choices'] }, /multiple choice needs questions/)
    await refused([{ text: 'a', label: 1 }], {}, /another kind of model: AutoDistributedModelForSequenceClassification/)
    await refused([{ text: 'a b', label: 1 }], { metrics: ['perplexity'] }, /perplexity is of texts without a label/)
    const question = { context: 'a', choices: ['b', 'c'], answer: 0 }
    await refused([{ ...question, choices: ['b'] }], {}, /item 0: choices is \["b"\]: expected a list of two/)
    await refused([question, { ...question, answer: 2 }], {}, /item 1: answer is 2: .*from 0 to 1/)
    await refused([{ ...question, answer: 'd' }], {}, /answer is "d"/)
    await refused([{ ...question, question: 'a' }], {}, /expected one of them, a text/)
    await refused([{ ...question, choices: ['b '.repeat(60), 'c'] }], { window: 16 }, /longer than the window of 16/)
    await refused(join(folder, 'none.jsonl'), {}, /none.jsonl cannot be read/)
    const dataset = await loadDataset(model, ['a few words'])
    assert.equal((await model.evaluate(dataset)).perplexity!.tokens, dataset.examples[0]!.ids.length - 1)
  })

  test('a signal ends it', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await refused({ text: golden.text }, { signal }, /enough/)
  })
})
