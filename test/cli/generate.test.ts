import assert from 'node:assert/strict'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type TestContext, after, before, describe, test } from 'node:test'
import { readLine } from '../../src/cli/commands/generate/batch.ts'
import { inOrder } from '../../src/cli/commands/generate/in-order.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { type Ended, start, tempFolder, until } from './kit.ts'

interface Result {
  readonly text: string
  readonly tokenIds: number[]
  readonly logprobs: number[]
  readonly seed?: number
}

interface Line {
  readonly line: number
  readonly id?: unknown
  readonly results?: Result[]
  readonly error?: { readonly code: string; readonly message: string }
}

const PROMPT = 'Fellow-citizens of the Senate'

test('results come in the order of items, a bounded number at a time, and before the next item', async () => {
  const begun: number[] = []
  const release = Promise.withResolvers<void>()
  async function* items(): AsyncGenerator<number> {
    for (let i = 0; i < 6; i++) yield i
    await release.promise
    yield 6
  }
  const given: number[] = []
  for await (const result of inOrder(items(), 2, async (item) => {
    begun.push(item)
    assert.ok(begun.length - given.length <= 2 * 4, 'not far ahead of what is given')
    await sleep(item % 2 === 0 ? 20 : 1)
    return item * 10
  })) {
    given.push(result)
    if (given.length === 6) release.resolve()
  }
  assert.deepEqual(given, [0, 10, 20, 30, 40, 50, 60])
})

test('a line of a batch is a text, ids, or an object with one of them', () => {
  assert.deepEqual(readLine('"a"'), { prompt: 'a' })
  assert.deepEqual(readLine('[5, 17]'), { prompt: [5, 17] })
  assert.deepEqual(readLine('{"prompt": "a", "id": {"n": 1}, "answer": "b"}'), { prompt: 'a', id: { n: 1 } })
  for (const [line, message] of [
    ['a', /^UsageError: a is no JSON/],
    [
      '{"promt": "a"}',
      /expected a JSON text, an array of token ids, or \{"prompt": one of these\}, not \{"promt": "a"\}/,
    ],
    ['[1, -1]', /expected a JSON text/],
    ['[1, "a"]', /expected a JSON text/],
    ['7', /expected a JSON text/],
  ] as const)
    assert.throws(() => readLine(line), message)
})

describe('generate', () => {
  let swarm: LocalSwarm
  before(async () => {
    swarm = await startLocalSwarm({ model: BUNDLED_MODEL, spans: [[0, 8]], bootstrap: false, threads: 1 })
  })
  after(() => swarm.stop())

  async function generate(t: TestContext, stdin: string | undefined, ...args: string[]): Promise<Ended> {
    const { child, ended, out } = start(t, ['generate', '--threads', '1', '--bootstrap', swarm.bootstrap, ...args], {
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    child.stdin?.end(stdin)
    return { code: await ended, ...out }
  }

  test('a prompt comes as an option, an argument, a file or on stdin, and gives the same text', async (t) => {
    const file = join(await tempFolder(t), 'prompt.txt')
    await writeFile(file, `${PROMPT}\n`)
    const all = await Promise.all([
      generate(t, undefined, '-n', '8', '-m', BUNDLED_MODEL, '-p', PROMPT),
      generate(t, undefined, '-n', '8', PROMPT),
      generate(t, undefined, '-n', '8', '--prompt-file', file),
      generate(t, `${PROMPT}\r\n`, '-n', '8'),
      generate(t, PROMPT, '-n', '8', '-'),
    ])
    for (const { code, stdout, stderr } of all) {
      assert.equal(code, 0, stderr)
      assert.equal(stdout, all[0]!.stdout)
      assert.equal(stderr.match(/^8 tokens in .*: as many as were asked for$/gm)?.length, 1, stderr)
    }
    assert.notEqual(all[0]!.stdout, '')
  })

  test('a text fulfils the schema of a file, or the file is refused', async (t) => {
    const folder = await tempFolder(t)
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    }
    const schema = await file(
      'schema.json',
      '{"type": "array", "items": {"enum": [7, 42]}, "minItems": 2, "maxItems": 3}',
    )
    const { code, stdout, stderr } = await generate(t, undefined, '-n', '40', '-p', PROMPT, '--json-schema', schema)
    assert.equal(code, 0, stderr)
    const values = JSON.parse(stdout) as number[]
    assert.ok(values.length >= 2 && values.every((value) => value === 7 || value === 42), stdout)
    for (const [text, status, message] of [
      ['{"not": {}}', 1, /not at #/],
      ['[1]', 2, /--json-schema .*bad.json: a schema is an object/],
      ['{', 2, /--json-schema .*bad.json: .*JSON/],
    ] as const) {
      const bad = await generate(t, undefined, '-p', PROMPT, '--json-schema', await file('bad.json', text))
      assert.match(bad.stderr, message)
      assert.equal(bad.code, status, bad.stderr)
    }
  })

  test('what cannot be continued is told', async (t) => {
    const cases: [string | undefined, string[], RegExp][] = [
      [undefined, [], /Nothing came on stdin; or give --prompt TEXT/],
      ['\n', ['-'], /Nothing came on stdin/],
      [undefined, ['a', '-p', 'b'], /what should be continued, "a" or what the options say\?/],
      [undefined, ['-p', 'a', '--batch', 'b'], /--prompt and --batch exclude each other/],
      [undefined, ['a', '--batch', 'b'], /--batch b: what is "a" for\?/],
      [undefined, ['--batch', '/nowhere/b'], /--batch \/nowhere\/b: .*no such file/i],
      [undefined, ['--prompt-file', '/nowhere/b'], /--prompt-file \/nowhere\/b: .*no such file/i],
      [undefined, ['-x', '-p', 'a'], /there is no option -x/],
    ]
    for (const [stdin, args, message] of cases) {
      const { code, stderr } = await generate(t, stdin, ...args)
      assert.equal(code, 2, stderr)
      assert.match(stderr, message)
    }
  })

  test('the seed that was drawn is told, and gives the same text again', async (t) => {
    const draw = ['-n', '8', '--temperature', '1', '-p', PROMPT]
    const first = await generate(t, undefined, ...draw)
    const seed = /; seed (\d+)$/m.exec(first.stderr)?.[1]
    assert.ok(seed !== undefined, first.stderr)
    const again = await generate(t, undefined, ...draw, '--seed', seed)
    assert.equal(again.stdout, first.stdout)
    const greedy = await generate(t, undefined, '-n', '8', '-p', PROMPT)
    assert.doesNotMatch(greedy.stderr, /seed/)
    const several = await generate(t, undefined, ...draw, '--num-return-sequences', '3', '--json')
    const results = (JSON.parse(several.stdout) as { results: Result[] }).results
    assert.equal(new Set(results.map((result) => result.seed)).size, 3)
    const last = await generate(t, undefined, ...draw, '--seed', String(results[2]!.seed), '--json')
    assert.deepEqual((JSON.parse(last.stdout) as { results: Result[] }).results[0]!.tokenIds, results[2]!.tokenIds)
  })

  test('text and figures that go to one file do not run together; the text alone is only the text', async (t) => {
    const file = join(await tempFolder(t), 'all.txt')
    const handle = await open(file, 'w')
    const args = ['generate', '--threads', '1', '--bootstrap', swarm.bootstrap, '-n', '4', '-p', PROMPT]
    const { ended } = start(t, args, { stdio: ['ignore', handle.fd, handle.fd] })
    assert.equal(await ended, 0)
    await handle.close()
    const { stdout } = await generate(t, undefined, '-n', '4', '-p', PROMPT)
    const lines = (await readFile(file, 'utf8')).split('\n')
    assert.match(lines[0]!, /^route: /)
    assert.equal(lines.slice(1, -2).join('\n'), stdout)
    assert.match(lines.at(-2)!, /^4 tokens in /)
  })

  test('log-probabilities are told for each token', async (t) => {
    const text = await generate(t, undefined, '-n', '4', '-p', PROMPT, '--logprobs')
    const told = [...text.stderr.matchAll(/^ *(-?\d+\.\d{3}) +(\d+) {2}(".*")$/gm)]
    assert.equal(told.length, 4, text.stderr)
    assert.equal(told.map(([, , , piece]) => JSON.parse(piece!) as string).join(''), text.stdout.replace(/\n$/, ''))
    const json = await generate(t, undefined, '-n', '4', '-p', PROMPT, '--logprobs', '--json')
    const [{ logprobs, tokenIds }] = (JSON.parse(json.stdout) as { results: [Result] }).results
    assert.deepEqual(
      told.map(([, logprob, id]) => [logprob, Number(id)]),
      tokenIds.map((id, i) => [logprobs[i]!.toFixed(3), id]),
    )
  })

  test('a server times the steps and sessions of a text, and what waits', async (t) => {
    const { metricsPort } = swarm.servers[0]!
    const read = async (): Promise<(name: string) => number> => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      return (name) => {
        const line = text.split('\n').find((each) => each.startsWith(`${name} `))
        return Number(line?.slice(name.length + 1) ?? 0)
      }
    }
    const before = await read()
    assert.equal((await generate(t, undefined, '-n', '5', '-p', PROMPT)).code, 0)
    // The session may be closed a moment after its client has gone.
    const after = await until('the end of the session', async () => {
      const now = await read()
      const sessions = 'petals_server_session_seconds_count'
      return now(sessions) > before(sessions) ? now : undefined
    })
    const grown = (name: string) => after(name) - before(name)
    assert.equal(grown('petals_server_step_seconds_count{kind="prefill"}'), 1)
    assert.equal(grown('petals_server_step_seconds_count{kind="decode"}'), 4)
    assert.equal(grown('petals_queue_wait_seconds_count{kind="prefill"}'), 1)
    assert.equal(grown('petals_queue_wait_seconds_count{kind="decode"}'), 4)
  })

  test('a batch gives a line for each line; one that fails takes no other along', async (t) => {
    const file = join(await tempFolder(t), 'prompts.jsonl')
    const lines = [
      JSON.stringify(PROMPT),
      'no json',
      '',
      '{"id": "far", "prompt": [1, 999999]}',
      `{"id": 7, "prompt": ${JSON.stringify(PROMPT)}}`,
      '"The state of the Union"',
    ]
    await writeFile(file, lines.join('\n'))
    const { code, stdout, stderr } = await generate(t, undefined, '-n', '6', '--batch', file)
    assert.equal(code, 1, stderr)
    const given = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
    assert.deepEqual(
      given.map(({ line, id, error }) => [line, id, error?.code]),
      [
        [1, undefined, undefined],
        [2, undefined, 'USAGE'],
        [4, 'far', 'TOKEN_ID'],
        [5, 7, undefined],
        [6, undefined, undefined],
      ],
    )
    const alone = await generate(t, undefined, '-n', '6', '-p', PROMPT)
    for (const i of [0, 3]) assert.equal(`${given[i]!.results![0]!.text}\n`, `${alone.stdout.replace(/\n$/, '')}\n`)
    assert.match(stderr, /^line 1: 6 tokens in /m)
    assert.match(stderr, /^line 2: no json is no JSON/m)
    assert.match(stderr, /^petals-node: 2 of 5 lines failed$/m)
  })

  test('a batch on stdin answers while more is to come', async (t) => {
    const { child, ended, out } = start(
      t,
      ['generate', '--threads', '1', '-n', '2', '--batch', '-', '--bootstrap', swarm.bootstrap],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    child.stdin!.write(`${JSON.stringify(PROMPT)}\n`)
    await until('a line', () => out.stdout.includes('\n'))
    child.stdin!.end(`${JSON.stringify(PROMPT)}\n`)
    assert.equal(await ended, 0, out.stderr)
    assert.deepEqual(
      out.stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as Line).line),
      [1, 2],
    )
  })
})
