import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { applyLine } from '../../src/cli/chat/commands.ts'
import { ChatLoop } from '../../src/cli/chat/loop.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import type { ChatAnswer } from '../../src/client/chat/chat-session.ts'
import { Conversation } from '../../src/client/chat/conversation.ts'
import { start, tempFolder } from './kit.ts'

const told = ({ messages }: Conversation) => messages.map(({ role, content }) => `${role[0]}:${content}`).join(' ')

test('a line is a message or a command', () => {
  const conversation = new Conversation()
  assert.deepEqual(applyLine(conversation, 'hello'), { kind: 'answer' })
  conversation.answer('Hi')
  assert.deepEqual(applyLine(conversation, '//etc is a folder'), { kind: 'answer' })
  assert.equal(told(conversation), 'u:hello a:Hi u:/etc is a folder')
  assert.deepEqual(applyLine(conversation, '/edit  who are you?'), { kind: 'answer' })
  assert.deepEqual(applyLine(conversation, '/system Be terse.').kind, 'note')
  assert.equal(told(conversation), 's:Be terse. u:hello a:Hi u:who are you?')
  assert.deepEqual(applyLine(conversation, '/undo'), { kind: 'note', text: 'back to the answer to: hello' })
  assert.deepEqual(applyLine(conversation, '/retry'), { kind: 'answer' })
  assert.equal(told(conversation), 's:Be terse. u:hello')
  assert.deepEqual(applyLine(conversation, ' /exit '), { kind: 'exit' })
  const help = applyLine(conversation, '/help')
  assert.ok(
    help.kind === 'note' &&
      ['/retry', '/edit TEXT', '/undo', '/system TEXT', '/clear', '/exit'].every((usage) => help.text.includes(usage)),
  )
})

test('a command that cannot be says so', () => {
  for (const [line, message] of [
    ['/rety', /there is no command \/rety: did you mean \/retry\?/],
    ['/edit', /\/edit needs a text behind it/],
    ['/undo all', /\/undo takes nothing behind it/],
    ['/undo', /nothing has been said yet/],
  ] as const)
    assert.throws(() => applyLine(new Conversation(), line), message)
})

test('Ctrl-C stops an answer that is under way, and twice with nothing under way ends', async () => {
  const notes: string[] = []
  const output = {
    write: () => undefined,
    end: () => undefined,
    note: (text: string) => notes.push(text),
  }
  const result = { text: 'cut', finishReason: 'aborted' } as ChatAnswer
  const session = {
    async *answer(_: unknown, { signal }: { signal?: AbortSignal | undefined }) {
      yield { tokenIds: [1], text: 'cut' }
      if (signal?.aborted === false)
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
      return result
    },
  }
  const loop = new ChatLoop(session, output, { maxNewTokens: 1 })
  const answered = loop.take('hello')
  assert.equal(loop.interrupt(), true)
  assert.equal(loop.interrupt(), false, 'a second one while the answer stops')
  assert.equal(await answered, true)
  assert.equal(told(loop.conversation), 'u:hello a:cut')
  assert.equal(loop.interrupt(), true)
  assert.match(notes[0]!, /Ctrl-C again ends/)
  await loop.take('')
  assert.equal(loop.interrupt(), true, 'a line came in between')
  assert.equal(loop.interrupt(), false)
})

describe('chat from a pipe', () => {
  let swarm: LocalSwarm
  before(async () => {
    swarm = await startLocalSwarm({
      model: BUNDLED_MODEL,
      spans: [[0, 8]],
      bootstrap: false,
      threads: 1,
      extraArgs: ['--attn-cache-tokens', '4096'],
    })
  })
  after(() => swarm.stop())

  test('each line is a turn and each answer a line of JSON; nothing is computed twice', async (t) => {
    const template = join(await tempFolder(t), 'own.jinja')
    await writeFile(
      template,
      '{{ bos_token }}{% for m in messages %}{{ m.role + ":" + m.content + "\n" }}{% endfor %}assistant:',
    )
    const { child, ended, out } = start(
      t,
      [
        'chat',
        '--json',
        '--threads',
        '1',
        '--max-new-tokens',
        '8',
        '--temperature',
        '0',
        '--template',
        template,
        '--bootstrap',
        swarm.bootstrap,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    child.stdin!.end('Fellow-citizens of the Senate\n/retry\nThe state of the Union\n')
    assert.equal(await ended, 0, out.stderr)
    const [first, again, second] = out.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { role: string; content: string; contextTokens: number; newTokens: number })
    assert.deepEqual(
      [first!.role, first!.content, first!.newTokens],
      ['assistant', again!.content, first!.contextTokens],
    )
    assert.equal(again!.newTokens, 1)
    assert.equal(
      second!.newTokens,
      second!.contextTokens - again!.contextTokens - 7,
      'all but the last token of the answer is held',
    )
  })

  test('as text, answers alone are on stdout; a mistake ends the script', async (t) => {
    const { child, ended, out } = start(
      t,
      ['chat', '--threads', '1', '--max-new-tokens', '8', '--bootstrap', swarm.bootstrap],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    child.stdin!.end('Fellow-citizens\n/nope\nnever read\n')
    assert.equal(await ended, 2)
    assert.equal(out.stdout.split('\n').length, 2)
    assert.match(out.stderr, /there is no command \/nope/)
  })
})
