import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type TestContext, test } from 'node:test'
import { IdleThread } from '../../../src/base/thread/idle-thread.ts'
import { compileTemplate } from '../../../src/client/chat/jinja-template.ts'
import type { ChatMessage } from '../../../src/client/chat/messages.ts'
import { PromptPrinter } from '../../../src/client/chat/prompt-printer.ts'

/** Messages of this text are refused; each one that is "slow" takes tens of milliseconds. */
const TEXT = `{% for message in messages %}
{%- if message.content == 'bad' %}{{ raise_exception('not that') }}{% endif %}
{%- if message.content == 'slow' %}{% for i in range(300) %}{% for j in range(300) %}{% endfor %}{% endfor %}{% endif %}
{{- message.role }}: {{ message.content }};
{%- endfor %}{{ tools|length if tools else 0 }} tools, {{ mood }}{{ eos_token }}`

function openPrinter(t: TestContext) {
  const source = { text: TEXT, name: 'test.jinja', specialTokens: { eos_token: '</s>' }, stopStrings: [] }
  const template = compileTemplate(source)
  const printer = new PromptPrinter({ template, source })
  t.after(() => printer.close())
  return { template, printer }
}

function long(first: string): ChatMessage[] {
  const messages = Array.from({ length: 1000 }, (_, i): ChatMessage => ({ role: 'user', content: `number ${i}` }))
  return [{ role: 'system', content: first }, ...messages]
}

test('short and long conversations are printed as the template does, whatever makes them long', async (t) => {
  const { template, printer } = openPrinter(t)
  const short: ChatMessage[] = [{ role: 'user', content: 'hello' }]
  const schema = { properties: Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`p${i}`, {}])) }
  for (const [messages, options] of [
    [short, { variables: { mood: 'good' } }],
    [long('hello'), { variables: { mood: 'bad' } }],
    [[{ role: 'user', content: 'x'.repeat(2 << 20) }], {}],
    [short, { tools: [schema] }],
  ] as const)
    assert.equal(await printer.print(messages, options), template.render(messages, options))
})

test('while a long one is printed this thread goes on, and short ones do not wait', async (t) => {
  const { printer } = openPrinter(t)
  let numTurns = 0
  const timer = setInterval(() => (numTurns += 1), 1)
  const order: string[] = []
  const printing = printer.print(long('slow')).then(() => order.push('long'))
  await printer.print([{ role: 'user', content: 'quick' }]).then(() => order.push('short'))
  await printing
  clearInterval(timer)
  assert.deepEqual(order, ['short', 'long'])
  assert.ok(numTurns > 3, `${numTurns} turns`)
})

test('long ones come one after another, without those that are aborted, and a failure is of one alone', async (t) => {
  const { printer } = openPrinter(t)
  const order: string[] = []
  const print = async (name: string, signal?: AbortSignal): Promise<void> => {
    await printer.print(long(name), {}, signal).then(
      () => order.push(name),
      (error: Error) => order.push(`${name}: ${error.message}`),
    )
  }
  const gone = new AbortController()
  const under = new AbortController()
  const all = [
    print('slow', under.signal),
    print('gone', gone.signal),
    print('bad'),
    print('last'),
    print('too late', AbortSignal.abort(new Error('gone before'))),
  ]
  gone.abort(new Error('left'))
  await all[1]
  under.abort(new Error('left as well'))
  await Promise.all(all)
  const refused = 'bad: test.jinja: it refuses these messages: not that; another can be chosen with --template'
  assert.deepEqual(order, ['too late: gone before', 'gone: left', 'slow: left as well', refused, 'last'])
})

test('those who leave one after another leave the thread no more work than what it has begun', async (t) => {
  const call = t.mock.method(IdleThread.prototype, 'call')
  const { printer } = openPrinter(t)
  const begun = async (): Promise<void> => {
    while (call.mock.callCount() === 0) await nextTurn()
  }
  const leaving = Array.from({ length: 5 }, () => new AbortController())
  const printing = leaving.map(({ signal }) => printer.print(long('slow'), {}, signal))
  const last = printer.print(long('last'))
  await begun()
  for (const [i, gone] of leaving.entries()) {
    gone.abort(new Error('left'))
    await assert.rejects(printing[i]!, { message: 'left' })
    // Whoever comes next would have begun by then.
    for (let turn = 0; turn < 5; turn++) await nextTurn()
  }
  assert.match(await last, /system: last/)
  assert.equal(call.mock.callCount(), 2)
})

test('a printer that is closed prints nothing any more', async (t) => {
  const { printer } = openPrinter(t)
  const waiting = [printer.print(long('slow')), printer.print(long('next'))].map((printing) =>
    assert.rejects(printing, { code: 'CHAT_TEMPLATE' }),
  )
  await nextTurn()
  await printer.close()
  await Promise.all(waiting)
  await printer.close()
})
