import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TuneStep } from '../../../src/client/training/running.ts'
import { loadClassifier } from '../../../src/client/training/results/classifier-folder.ts'
import { loadPrompts } from '../../../src/client/training/results/prompts-folder.ts'
import { Trainer } from '../../../src/client/training/trainer.ts'
import { Tuning } from '../../../src/client/training/tuning.ts'
import type { TuneOptions } from '../../../src/client/training/tune-options.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { toyBatchModel, toyDataset, toyExamples, toyParts } from './toy-tuning.ts'

const OPTIONS: TuneOptions = {
  method: 'deep_ptune',
  steps: 12,
  batchSize: 4,
  accumulate: 2,
  seed: 3,
  schedule: 'cosine',
  warmupSteps: 2,
  clipNorm: 1,
  bucket: true,
  evaluation: toyDataset(toyExamples(9)),
  evaluateEvery: 4,
}

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-tune-'))
})
after(() => rm(folder, { recursive: true }))

/** What of a step does not depend on the clock. */
function curve(steps: readonly TuneStep[]): Omit<TuneStep, 'seconds'>[] {
  return steps.map(({ seconds, ...rest }) => {
    assert.ok(seconds >= 0)
    return rest
  })
}

async function all(tuning: Tuning, until = Infinity): Promise<TuneStep[]> {
  const steps: TuneStep[] = []
  for await (const step of tuning) {
    steps.push(step)
    if (step.step === until) break
  }
  return steps
}

describe('a training', () => {
  test('lowers the loss, tells every step, and keeps the best', async () => {
    const tuning = new Tuning(toyParts(OPTIONS))
    const first = await tuning.evaluate()
    const steps = await all(tuning)
    assert.deepEqual(
      steps.map(({ step }) => step),
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    assert.equal(steps[0]!.learningRate, 0)
    assert.ok(Math.abs(steps[2]!.learningRate - 0.05) < 1e-9)
    assert.ok(steps.every(({ tokens, gradientNorm }) => tokens > 8 && gradientNorm > 0))
    const evaluations = steps.flatMap(({ step, evaluation }) =>
      evaluation === undefined ? [] : [{ step, ...evaluation }],
    )
    assert.deepEqual(
      evaluations.map(({ step }) => step),
      [4, 8, 12],
    )
    assert.ok(evaluations.at(-1)!.loss < first - 0.01, `${evaluations.at(-1)!.loss} after ${first}`)
    assert.equal(evaluations.at(-1)!.loss, await tuning.evaluate())
  })

  test('with the same seed is the same, bitwise, and with another seed is not', async () => {
    const [a, b, c] = await Promise.all([3, 3, 4].map((seed) => all(new Tuning(toyParts({ ...OPTIONS, seed })))))
    assert.deepEqual(curve(a!), curve(b!))
    assert.notDeepEqual(curve(a!), curve(c!))
    const drawn = await new Tuning(toyParts({ ...OPTIONS, seed: undefined })).seed()
    assert.ok(Number.isSafeInteger(drawn))
  })

  test('whose best is not its last gives the best', async () => {
    const tuning = new Tuning(toyParts({ ...OPTIONS, learningRate: 3, schedule: 'constant', clipNorm: undefined }))
    const steps = await all(tuning)
    const losses = steps.flatMap(({ evaluation }) => evaluation?.loss ?? [])
    const { prompts } = await tuning.result()
    const best = steps.findLast(({ evaluation }) => evaluation?.isBest)!
    assert.equal(best.evaluation!.loss, Math.min(...losses))
    assert.ok(best.step < 12, 'the last is the best: another learning rate is needed here')
    const until = await all(
      new Tuning(toyParts({ ...OPTIONS, learningRate: 3, schedule: 'constant', clipNorm: undefined })),
      best.step,
    )
    assert.equal(until.length, best.step)
    const again = new Tuning(toyParts({ ...OPTIONS, learningRate: 3, schedule: 'constant', clipNorm: undefined }))
    await all(again, best.step)
    assert.deepEqual(prompts, (await again.result()).prompts)
  })

  test('cannot be iterated twice, and ends with its signal', async () => {
    const controller = new AbortController()
    const tuning = new Tuning(toyParts({ ...OPTIONS, signal: controller.signal }))
    const steps = tuning[Symbol.asyncIterator]()
    await steps.next()
    controller.abort(new Error('enough'))
    await assert.rejects(steps.next(), /enough/)
    await assert.rejects(all(tuning), { code: 'USAGE' })
  })

  test('that diverges ends by name, with the parameters that it had', async () => {
    const dataset = toyDataset()
    const parts = toyParts({ ...OPTIONS, evaluation: undefined }, dataset)
    const broken = {
      ...parts.batchModel,
      embed: async (ids: readonly number[]) => {
        const embedded = await parts.batchModel.embed(ids)
        asFloat32(embedded).fill(NaN)
        return embedded
      },
    }
    const tuning = new Tuning({ ...parts, batchModel: broken })
    const before = await tuning.result()
    await assert.rejects(all(tuning), { code: 'TUNE_DIVERGED', message: /smaller learningRate/ })
    assert.deepEqual(await tuning.result(), before)
  })
})

describe('a training with a checkpoint', () => {
  for (const method of ['deep_ptune', 'head', 'classifier'] as const)
    test(`of ${method}, broken off anywhere, goes on bitwise as if it had not been`, async () => {
      const dataset = method === 'classifier' ? toyDataset(toyExamples(23, true)) : toyDataset()
      const evaluation = method === 'classifier' ? toyDataset(toyExamples(9, true)) : OPTIONS.evaluation
      const parts = (checkpoint?: TuneOptions['checkpoint']) =>
        toyParts({ ...OPTIONS, method, evaluation, checkpoint }, dataset)
      const whole = new Tuning(parts())
      const wanted = curve(await all(whole))
      const checkpoint = { folder: join(folder, method), every: 5 }
      const found: TuneStep[] = []
      for (const until of [2, 3, 9, Infinity]) found.push(...(await all(new Tuning(parts(checkpoint)), until)))
      assert.deepEqual(curve(found), wanted)
      const again = new Tuning(parts(checkpoint))
      assert.deepEqual([await all(again), await again.step()], [[], 12])
      assert.deepEqual(await again.result(), await whole.result())
      assert.deepEqual((await readdir(checkpoint.folder)).sort(), ['checkpoint-12.safetensors', 'checkpoint.json'])
    })

  test('that died between two checkpoints goes on from the first of them', async () => {
    const checkpoint = { folder: join(folder, 'died'), every: 5 }
    const steps = new Tuning(toyParts({ ...OPTIONS, checkpoint }))[Symbol.asyncIterator]()
    for (let i = 0; i < 7; i++) await steps.next()
    const resumed = await all(new Tuning(toyParts({ ...OPTIONS, seed: undefined, checkpoint })))
    assert.deepEqual(curve(resumed), curve(await all(new Tuning(toyParts(OPTIONS)))).slice(5))
  })

  test('that cannot be written is told before the first step, and a result likewise', async () => {
    const file = join(folder, 'a file')
    await writeFile(file, 'no folder')
    for (const at of [file, join(file, 'below')]) {
      const tuning = new Tuning(toyParts({ ...OPTIONS, checkpoint: { folder: at } }))
      await assert.rejects(tuning.step(), { code: 'TUNE_DISK', message: /name another folder/ })
    }
    const tuning = new Tuning(toyParts(OPTIONS))
    await assert.rejects(tuning.save(file), { code: 'TUNE_DISK' })
  })

  test('that is damaged is refused by what is wrong with it', async () => {
    const at = join(folder, 'damaged')
    const parts = () => toyParts({ ...OPTIONS, checkpoint: { folder: at } })
    await all(new Tuning(parts()), 2)
    const [json, tensors] = [join(at, 'checkpoint.json'), join(at, 'checkpoint-2.safetensors')]
    const [text, bytes] = [await readFile(json, 'utf8'), await readFile(tensors)]
    const changes: [from: string | RegExp, to: string, code: string][] = [
      [/^/, 'x', 'CHECKPOINT_FORMAT'],
      ['"step": 2', '"step": "2"', 'TUNE_CHECKPOINT'],
      ['"step": 2', '"step": -2', 'TUNE_CHECKPOINT'],
      [/"position": \d+/, '"position": 0.5', 'TUNE_CHECKPOINT'],
      ['checkpoint-2.safetensors', '../checkpoint-2.safetensors', 'TUNE_CHECKPOINT'],
      ['checkpoint-2.safetensors', 'checkpoint-3.safetensors', 'CHECKPOINT_MISSING_FILE'],
    ]
    for (const [from, to, code] of changes) {
      await writeFile(json, text.replace(from, to))
      await assert.rejects(new Tuning(parts()).step(), { code }, `${from} -> ${to}`)
    }
    await writeFile(json, text)
    for (const content of [bytes.subarray(0, -4), Buffer.from('garbage'), Buffer.alloc(0)]) {
      await writeFile(tensors, content)
      await assert.rejects(new Tuning(parts()).step(), { code: /^CHECKPOINT_(?:HEADER|TRUNCATED)$/ })
    }
    await writeFile(tensors, bytes)
    assert.equal(await new Tuning(parts()).step(), 2)
  })

  test('of other options is refused by name', async () => {
    const checkpoint = { folder: join(folder, 'other') }
    await all(new Tuning(toyParts({ ...OPTIONS, checkpoint })), 1)
    const others: [Partial<TuneOptions>, RegExp][] = [
      [{ learningRate: 0.1 }, /learningRate 0.05, and 0.1 was asked for/],
      [{ steps: 13 }, /steps 12, and 13/],
      [{ seed: 9 }, /seed 3, and 9/],
      [{ optimizer: { name: 'sgd' } }, /optimizer/],
      [{ clipNorm: undefined }, /clipNorm 1, and "none"/],
      [{ method: 'ptune' }, /method "deep_ptune", and "ptune"/],
      [{ evaluation: undefined }, /evaluat/],
      [{ preSeqLen: 3 }, /preSeqLen 2, and 3/],
    ]
    for (const [options, message] of others)
      await assert.rejects(all(new Tuning(toyParts({ ...OPTIONS, checkpoint, ...options }))), {
        code: 'TUNE_CHECKPOINT',
        message,
      })
    await assert.rejects(all(new Tuning(toyParts({ ...OPTIONS, checkpoint }, toyDataset(toyExamples(22))))), {
      code: 'TUNE_CHECKPOINT',
      message: /data/,
    })
  })
})

test('what was trained is written and read again', async () => {
  const path = join(folder, 'results')
  const labels = ['no', 'yes']
  const tuning = new Tuning(
    toyParts({ ...OPTIONS, evaluation: undefined }, { ...toyDataset(toyExamples(23, true)), labels }),
  )
  await all(tuning)
  await tuning.save(path)
  const { prompts, classifier } = await tuning.result()
  assert.deepEqual(plain(await loadPrompts(path)), plain(prompts))
  assert.deepEqual(plain(await loadClassifier(path)), plain(classifier))
  assert.deepEqual(classifier!.labels, labels)
})

/** With numbers in place of bytes, whose classes may differ. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? [...each] : each)))
}

/** The gradients of one step over batches of examples. */
async function gradients(method: TuneOptions['method'], batches: number[][], isLabelled: boolean): Promise<number[]> {
  const examples = toyExamples(8, isLabelled)
  const trained = await toyParts({ ...OPTIONS, method }, toyDataset(examples)).begin(1)
  const trainer = new Trainer(toyBatchModel(), trained, { name: 'sgd' })
  await trainer.step(
    batches.map((batch) => batch.map((i) => examples[i]!)),
    { learningRate: 1e-9, clipNorm: Infinity },
  )
  const { prompts, head } = trained
  return [prompts?.before, prompts?.deep, head?.score].flatMap((each) => [...(each?.gradient ?? [])])
}

describe('gradients', () => {
  for (const isLabelled of [false, true])
    test(`do not depend on how ${isLabelled ? 'labelled ' : ''}sequences of mixed length come together`, async () => {
      const [together, apart, pairs] = await Promise.all(
        [
          [[0, 1, 2, 3]],
          [[0], [1], [2], [3]],
          [
            [2, 0],
            [3, 1],
          ],
        ].map((batches) => gradients('deep_ptune', batches, isLabelled)),
      )
      assert.ok(together!.some((value) => Math.abs(value) > 1e-3))
      for (const [i, value] of together!.entries())
        for (const other of [apart!, pairs!]) assert.ok(Math.abs(other[i]! - value) < 1e-6)
    })
})
