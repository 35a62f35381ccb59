import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { type Ended, run, start, until } from './kit.ts'

const DEMO = new URL('../../models/demo', import.meta.url).pathname

let swarm: LocalSwarm
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-tune-'))
  swarm = await startLocalSwarm({
    model: DEMO,
    spans: [[0, 8]],
    bootstrap: false,
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '2048', '--allow-client-adapters'],
  })
  const line = 'The Constitution of the United States is the law of the land, and the whale is not. '
  await writeFile(at('train.txt'), line.repeat(40))
  await writeFile(at('heldout.txt'), line.repeat(4))
  await writeFile(at('labels.jsonl'), Array.from({ length: 8 }, (_, i) => labelled(i)).join('\n'))
  await writeFile(at('choices.jsonl'), JSON.stringify({ context: 'The', choices: [' United', ' zz'], answer: 0 }))
  await writeFile(at('bad.jsonl'), '{"text": "a"}\n{"texx": 1}\n')
})
after(async () => {
  await swarm.stop()
  await rm(folder, { recursive: true, force: true })
})

function labelled(i: number): string {
  const label = i % 2 === 0 ? 'war' : 'peace'
  return JSON.stringify({ text: `the ${label} of ${i}`, label })
}

function at(name: string): string {
  return join(folder, name)
}

function inSwarm(t: TestContext, command: string, ...args: string[]): Promise<Ended> {
  return run(t, command, '--bootstrap', swarm.bootstrap, '--threads', '1', ...args)
}

async function lossesOf(out: string): Promise<string[]> {
  const [, ...rows] = (await readFile(join(out, 'loss.csv'), 'utf8')).trim().split('\n')
  return rows.map((row) => row.split(',').slice(0, 2).join())
}

describe('a training from the command line', () => {
  test('an adapter: the curve, the best by the held-out text, and the command that uses it', async (t) => {
    const out = at('adapter')
    const data = ['--data', at('train.txt'), '--eval-data', at('heldout.txt'), '--window', '32']
    const options = ['--steps', '4', '--eval-every', '2', '--seed', '1', '--rank', '2', '--out', out]
    const { code, stdout, stderr } = await inSwarm(t, 'tune', ...data, ...options)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^seed 1: training a LoRA adapter, \d+ parameters, on \d+ sequences of .*train\.txt/)
    assert.match(stderr, /before: held-out loss \d/)
    assert.match(stdout, /^done: 4 steps in .*; loss \d\.\d+, held-out loss \d\.\d+ at step 4, which is kept\n/)
    assert.match(stdout, new RegExp(`generate --bootstrap ${swarm.bootstrap} --own-adapter ${out} --prompt`))
    assert.equal((await lossesOf(out)).length, 5)
    assert.match(await readFile(join(out, 'loss.svg'), 'utf8'), /^<svg /)
    const used = await inSwarm(t, 'generate', '--own-adapter', out, '--prompt', 'The', '--max-new-tokens', '2')
    assert.equal(used.code, 0, used.stderr)
    const [plain, tuned] = await Promise.all(
      [[], ['--own-adapter', out]].map(async (own) => {
        const { stdout: json } = await inSwarm(t, 'eval', '--data', at('heldout.txt'), '--json', ...own)
        return (JSON.parse(json) as { perplexity: { loss: number } }).perplexity.loss
      }),
    )
    assert.ok(tuned! < plain! - 0.1, `${tuned} where ${plain} was before`)
  })

  test('ends at a step when it is interrupted, and the same command goes on as if it had not been', async (t) => {
    const training = (out: string): string[] => {
      const data = ['--data', at('train.txt'), '--window', '16', '--batch-size', '2']
      return [...data, '--method', 'ptune', '--pre-seq-len', '2', '--steps', '60', '--seed', '7', '--out', out]
    }
    const [broken, whole] = [at('broken'), at('whole')]
    const args = ['tune', '--bootstrap', swarm.bootstrap, '--threads', '1', ...training(broken)]
    const { child, ended, out } = start(t, args)
    await until('a few steps', async () => ((await lossesOf(broken).catch(() => [])).length > 3 ? true : undefined))
    child.kill('SIGINT')
    assert.equal(await ended, 130, out.stderr)
    assert.match(out.stderr, /stopped at step \d+ of 60; the same command goes on from there/)
    const resumed = await run(t, ...args)
    assert.equal(resumed.code, 0, resumed.stderr)
    assert.match(resumed.stderr, /going on behind step \d+ of 60/)
    assert.equal((await inSwarm(t, 'tune', ...training(whole))).code, 0)
    assert.deepEqual(await lossesOf(broken), await lossesOf(whole))
    const other = await run(t, ...args.with(args.indexOf('7'), '8'))
    assert.equal(other.code, 1)
    assert.match(other.stderr, /holds a training with seed 7, and 8 was asked for/)
    const evaluated = await inSwarm(t, 'eval', '--data', at('heldout.txt'), '--prompts', broken)
    assert.match(evaluated.stdout, /^perplexity \d+\.\d+ \(\d\.\d+ nats per token, over \d+ tokens\)\n$/)
  })

  test('is ended at once while it evaluates first', async (t) => {
    await writeFile(at('long.txt'), 'It is a long way, and nobody knows where it ends. '.repeat(4000))
    const data = ['--data', at('train.txt'), '--eval-data', at('long.txt'), '--window', '16', '--out', at('ended')]
    const args = ['tune', '--bootstrap', swarm.bootstrap, '--threads', '1', ...data, '--batch-size', '1']
    const { child, ended, out } = start(t, args)
    await until('the beginning', () => (out.stderr.startsWith('seed ') ? true : undefined))
    child.kill('SIGINT')
    assert.equal(await ended, 130, out.stderr)
    assert.match(out.stderr, /stopped at step 0 of 200; the same command goes on from there/)
    assert.doesNotMatch(out.stderr, /held-out loss/)
  })

  test('the head that predicts tokens', async (t) => {
    const out = at('lm-head')
    const data = ['--data', at('train.txt'), '--eval-data', at('heldout.txt'), '--window', '32']
    const options = ['--method', 'head', '--steps', '4', '--seed', '1', '--out', out]
    const { code, stdout, stderr } = await inSwarm(t, 'tune', ...data, ...options)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /training the head that predicts tokens, \d+ parameters/)
    assert.match(stdout, new RegExp(`generate --bootstrap ${swarm.bootstrap} --head ${out} --prompt`))
    const loss = Number(/held-out loss (\d+\.\d+) at step 4/.exec(stdout)![1])
    const used = await inSwarm(t, 'generate', '--head', out, '--prompt', 'The', '--max-new-tokens', '2')
    assert.equal(used.code, 0, used.stderr)
    const evaluated = await inSwarm(t, 'eval', '--data', at('heldout.txt'), '--head', out, '--window', '32', '--json')
    assert.equal(evaluated.code, 0, evaluated.stderr)
    const before = Number(/before: held-out loss (\d+\.\d+)/.exec(stderr)![1])
    assert.ok(loss < before - 0.05, `${loss} after ${before}`)
  })

  test("a classifier's head, whose accuracy is measured", async (t) => {
    const out = at('head')
    const data = ['--data', at('labels.jsonl'), '--method', 'classifier']
    const options = ['--steps', '20', '--learning-rate', '0.01', '--seed', '1', '--out', out, '--json']
    const { code, stdout, stderr } = await inSwarm(t, 'tune', ...data, ...options)
    assert.equal(code, 0, stderr)
    assert.equal((JSON.parse(stdout) as { steps: number }).steps, 20)
    const evaluated = await inSwarm(t, 'eval', '--data', at('labels.jsonl'), '--classifier', out)
    assert.match(evaluated.stdout, /^accuracy 100\.0 % .* of 8 texts\n {2}\w+: 4 of 4 found\n/)
  })
})

test('an evaluation of questions, kept in a file', async (t) => {
  const out = at('choices.json')
  const { code, stdout, stderr } = await inSwarm(t, 'eval', '--data', at('choices.jsonl'), '--out', out)
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^accuracy 100\.0 % .* of 1 questions\n {2}per token .*\n {2}per byte .*\n$/)
  assert.ok('choices' in (JSON.parse(await readFile(out, 'utf8')) as object))
})

test('what cannot be is refused with its cure', async (t) => {
  const cases: readonly (readonly [code: number, message: RegExp, args: readonly string[]])[] = [
    [2, /which data\? Give --data/, ['tune', '--out', at('x')]],
    [2, /where should the result go\? Give --out/, ['tune', '--data', at('train.txt')]],
    [2, /--method foo: expected lora/, ['tune', '--data', at('train.txt'), '--out', at('x'), '--method', 'foo']],
    [1, /bad\.jsonl, line 2: it has texx: expected \{"text"/, ['tune', '--data', at('bad.jsonl'), '--out', at('x')]],
    [2, /has no labels/, ['tune', '--data', at('train.txt'), '--out', at('x'), '--method', 'classifier']],
    [2, /give --classifier its folder/, ['eval', '--data', at('train.txt'), '--metric', 'accuracy']],
    [2, /--data .*nope\.txt: ENOENT/, ['eval', '--data', at('nope.txt')]],
    [1, /prompts\.json is missing/, ['eval', '--data', at('train.txt'), '--prompts', folder]],
  ]
  await Promise.all(
    cases.map(async ([wanted, message, [command = '', ...args]]) => {
      const { code, stderr, stdout } = await inSwarm(t, command, ...args)
      assert.match(stderr, message)
      assert.equal(code, wanted, stderr)
      assert.equal(stdout, '')
    }),
  )
})
