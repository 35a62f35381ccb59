import assert from 'node:assert/strict'
import { type TestContext, after, before, describe, test } from 'node:test'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { patiently } from '../../src/client/session/repair/patience.ts'
import { NoRouteError } from '../../src/client/remote/routes/routing.ts'
import { ChatLoop } from '../../src/cli/commands/chat/loop.ts'
import { chatOptions } from '../../src/cli/commands/chat/options.ts'
import { AnswerSettings } from '../../src/cli/commands/chat/settings.ts'
import { readOptions } from '../../src/cli/options/read-options.ts'
import { Interruptible } from '../../src/cli/process/interruptible.ts'
import { openChat } from '../../src/client/chat-session/open-chat.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { start, until } from './kit.ts'

const inSeconds = (text: string) => Number(/waiting for at most (\d+) s/.exec(text)?.[1])

test('a wait is told once, soon, and ends with the time; where it cannot help there is none', async () => {
  const told: [string, number][] = []
  const options = {
    timeoutMs: 1500,
    check: () => undefined,
    refresh: async () => undefined,
    because: new Error('the server is gone'),
    onWait: ({ message }: Error, leftMs: number) => void told.push([message, leftMs]),
  }
  await assert.rejects(
    patiently(() => Promise.reject(new NoRouteError([3], 'block 3')), options),
    { code: 'NO_ROUTE' },
  )
  assert.equal(told.length, 1)
  const [[message, leftMs]] = told as [[string, number]]
  assert.equal(message, 'block 3')
  assert.ok(leftMs > 0 && leftMs <= 900, String(leftMs))
  let attempts = 0
  const final = () => Promise.reject(new NoRouteError([3], `attempt ${++attempts}`, true))
  await assert.rejects(patiently(final, options), { message: 'attempt 1' })
  assert.equal(told.length, 1)
})

test('a wait ends when it is interrupted', async () => {
  const stop = new AbortController()
  const waited = patiently(() => Promise.reject(new NoRouteError([3], 'block 3')), {
    timeoutMs: 60_000,
    check: () => undefined,
    because: new Error('the server is gone'),
    signal: stop.signal,
    refresh: () => new Promise(() => undefined),
    onWait: () => stop.abort(new Error('stopped')),
  })
  await assert.rejects(waited, { message: 'stopped' })
})

test('an attempt is left to itself when it is interrupted', async () => {
  const stop = new AbortController()
  let abandoned = 0
  const attempt = (): Promise<never> => {
    stop.abort(new Error('stopped'))
    return new Promise(() => undefined)
  }
  const waited = patiently(attempt, {
    timeoutMs: 60_000,
    check: () => undefined,
    because: new Error('the server is gone'),
    signal: stop.signal,
    abandon: () => abandoned++,
    refresh: async () => undefined,
    onWait: () => undefined,
  })
  await assert.rejects(waited, { message: 'stopped' })
  assert.equal(abandoned, 1)
})

test('a first attempt that takes long is told by what is known, and then by what turns out', async () => {
  const told: string[] = []
  const hears = Promise.withResolvers<void>()
  const options = {
    timeoutMs: 3000,
    check: () => undefined,
    refresh: async () => undefined,
    because: new Error('the server is gone'),
    onWait: ({ message }: Error) => {
      told.push(message)
      hears.resolve()
    },
  }
  const attempt = async () => {
    await hears.promise
    throw new NoRouteError([3], 'block 3')
  }
  await assert.rejects(patiently(attempt, options), { message: 'block 3' })
  assert.deepEqual(told, ['the server is gone', 'block 3'])
})

describe('with a swarm that holds half of a model', () => {
  let swarm: LocalSwarm
  before(async () => {
    swarm = await startLocalSwarm({ model: BUNDLED_MODEL, spans: [[0, 4]], bootstrap: false, threads: 1 })
  })
  after(() => swarm.stop())
  const generate = (t: TestContext, ...args: string[]) =>
    start(t, ['generate', '--threads', '1', '--prompt', 'a', '--bootstrap', swarm.bootstrap, ...args])

  test('a client says at once what is missing, for how long it waits, and the whole command that helps', async (t) => {
    const { ended, out } = generate(t, '--wait', '30', '--max-time', '2', '--json')
    assert.equal(await ended, 3)
    const [waiting] = out.stderr.split('\n')
    assert.match(waiting!, /^waiting for at most \d s: no server that is online holds blocks 4, 5, 6, 7 of 0:8; /)
    assert.ok(inSeconds(waiting!) <= 2, 'not longer than --max-time')
    const cure = `petals-node serve --model ${BUNDLED_MODEL} --blocks 4:8 --bootstrap ${swarm.bootstrap}`
    assert.ok(waiting!.includes(cure), waiting)
    const { error } = JSON.parse(out.stdout) as { error: { code: string; message: string } }
    assert.equal(error.code, 'NO_ROUTE')
    assert.ok(error.message.includes(cure), error.message)
  })

  test('where waiting cannot help there is an error at once: another model, no such adapter, --wait 0', async (t) => {
    const cases: [string[], RegExp][] = [
      [['--dht-prefix', 'nix'], /nobody in this swarm serves \S+ \(nix\); what is served: llama-8x256-\w+; start one/],
      [['--active-adapter', 'nix'], /no server computes with adapter nix; servers have none/],
      [['--wait', '0'], /no server that is online holds blocks 4, 5, 6, 7 of 0:8; start one/],
    ]
    for (const [args, message] of cases) {
      const { ended, out } = generate(t, ...args)
      assert.equal(await ended, 3, out.stderr)
      assert.match(out.stderr, message)
      assert.doesNotMatch(out.stderr, /waiting/)
    }
  })

  test('in a chat the first Ctrl-C ends the wait and not the program', async (t) => {
    const model = await AutoDistributedModelForCausalLM.fromPretrained(BUNDLED_MODEL, {
      bootstrap: [swarm.bootstrap],
      threads: 1,
    })
    t.after(() => model.close())
    const { session } = await openChat(model, { template: 'plain', sessionTokens: 64 })
    t.after(() => session.close())
    const work = new Interruptible(() => undefined)
    const notes: string[] = []
    model.on('waiting', () => assert.equal(work.interrupt(), true))
    const settings = new AnswerSettings(readOptions(chatOptions, new Map()))
    const output = { write: () => undefined, end: () => notes.push('end'), note: (text: string) => notes.push(text) }
    const loop = new ChatLoop({ session, output, settings, work, options: () => ({ maxNewTokens: 4 }) })
    assert.equal(await loop.take('hello'), true)
    assert.deepEqual(notes, ['end'])
    assert.deepEqual(loop.conversation.messages, [{ role: 'user', content: 'hello' }], 'it can be asked again')
  })

  test('a token id that the model does not have is a mistake of the user', async (t) => {
    const { ended, out } = start(t, ['generate', '--prompt-ids', '1,999999', '--bootstrap', swarm.bootstrap])
    assert.equal(await ended, 2)
    assert.match(out.stderr, /--prompt-ids 1,999999: 999999 is no token; this model has 0 to \d+\n/)
  })

  test('a watch in JSON ends once its reader is gone', async (t) => {
    const { child, ended, out } = start(t, ['status', '--watch', '--json', '--bootstrap', swarm.bootstrap])
    await until('a line', () => out.stdout.includes('\n'))
    child.stdout!.destroy()
    assert.equal(await ended, 1)
    assert.match(out.stderr, /cannot write the output: nobody reads it any more\n$/)
  })
})
