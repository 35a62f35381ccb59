import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type ChatState, applyLine } from '../../src/cli/commands/chat/commands.ts'
import { ChatLoop } from '../../src/cli/commands/chat/loop.ts'
import { chatOptions } from '../../src/cli/commands/chat/options.ts'
import { SavedChats } from '../../src/cli/commands/chat/saved-chat.ts'
import { AnswerSettings } from '../../src/cli/commands/chat/settings.ts'
import { readOptions } from '../../src/cli/options/read-options.ts'
import { Interruptible } from '../../src/cli/process/interruptible.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import type { ChatAnswer } from '../../src/client/chat-session/chat-session.ts'
import { Conversation } from '../../src/client/chat/conversation.ts'
import { start, tempFolder, until } from './kit.ts'

const told = ({ messages }: Conversation) => messages.map(({ role, content }) => `${role[0]}:${content}`).join(' ')

/** A chat in which nothing has been said or set. */
function chatState(): ChatState {
  return {
    conversation: new Conversation(),
    settings: new AnswerSettings(readOptions(chatOptions, new Map())),
    files: new SavedChats(),
  }
}

test('a line is a message or a command', async () => {
  const chat = chatState()
  const { conversation } = chat
  assert.deepEqual(await applyLine(chat, 'hello'), { kind: 'answer' })
  conversation.answer('Hi')
  assert.deepEqual(await applyLine(chat, '//etc is a folder'), { kind: 'answer' })
  assert.equal(told(conversation), 'u:hello a:Hi u:/etc is a folder')
  assert.deepEqual(await applyLine(chat, '/edit  who\nare you?'), { kind: 'answer' })
  assert.deepEqual((await applyLine(chat, '/system Be terse.')).kind, 'note')
  assert.equal(told(conversation), 's:Be terse. u:hello a:Hi u:who\nare you?')
  assert.deepEqual(await applyLine(chat, '/undo'), { kind: 'note', text: 'back to the answer to: hello' })
  assert.deepEqual(await applyLine(chat, '/retry'), { kind: 'answer' })
  assert.equal(told(conversation), 's:Be terse. u:hello')
  assert.deepEqual(await applyLine(chat, ' /exit '), { kind: 'exit' })
  const help = await applyLine(chat, '/help')
  const commands = ['/retry', '/edit TEXT', '/undo', '/system TEXT', '/clear', '/exit', '/set NAME VALUE', '/save FILE']
  assert.ok(help.kind === 'note' && commands.every((usage) => help.text.includes(usage)))
})

test('a command that cannot be says so', async (t) => {
  const file = join(await tempFolder(t), 'half.json')
  await writeFile(file, '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]')
  for (const [line, message] of [
    ['/rety', /there is no command \/rety: did you mean \/retry\?/],
    ['/edit', /\/edit needs a text behind it/],
    ['/undo all', /\/undo takes nothing behind it/],
    ['/undo', /nothing has been said yet/],
    ['/set temprature 1', /there is no setting temprature: did you mean temperature\?/],
    ['/set temperature hot', /^UsageError: \/set temperature hot: expected a number of at least 0$/],
    ['/save', /\/save needs a text behind it/],
    [`/save ${file}`, /the file exists already, and this chat has neither saved nor loaded it/],
    [`/load ${file}.gone`, /\/load .*gone: there is no such file$/],
    [`/save ${file}.gone/x.json`, /\/save .*x\.json: there is no such folder$/],
    [`/load ${file}`, /message 2 is of the user: user and assistant take turns/],
  ] as const)
    await assert.rejects(applyLine(chatState(), line), message)
})

test('what is set counts from the next answer on, and the default comes back', async () => {
  const chat = chatState()
  const set = async (line: string) => ((await applyLine(chat, line)) as { text: string }).text
  assert.equal(await set('/set top-p 0.5'), 'top-p 0.5')
  assert.equal(await set('/set top_p'), 'top-p 0.5')
  assert.equal(await set('/set --max-new-tokens 7'), 'max-new-tokens 7')
  assert.equal(await set('/set stop The End'), 'stop The End')
  assert.equal(await set('/set on-full shift'), 'on-full shift')
  const { topP, maxNewTokens, stop, onFull, temperature } = chat.settings.values
  assert.deepEqual([topP, maxNewTokens, stop, onFull, temperature], [0.5, 7, ['The End'], 'shift', undefined])
  assert.equal(await set('/set top-p default'), "top-p (the model's own, or none)")
  assert.equal(chat.settings.values.topP, undefined)
  assert.match(await set('/set'), /^temperature \(the model's own, or 0\)\n[^]*max-new-tokens 7\n[^]*on-full shift$/m)
})

test('a conversation is saved and goes on where it was', async (t) => {
  const file = join(await tempFolder(t), 'talk.json')
  const first = chatState()
  first.conversation.setSystem('Be terse.')
  first.conversation.ask('two\nlines')
  first.conversation.answer('Yes')
  assert.deepEqual(await applyLine(first, `/save ${file}`), { kind: 'note', text: 'saved 3 messages' })
  const second = chatState()
  await applyLine(second, `/load ${file}`)
  assert.equal(told(second.conversation), 's:Be terse. u:two\nlines a:Yes')
  await applyLine(second, 'more')
  await applyLine(second, `/save ${file}`)
  assert.equal((JSON.parse(await readFile(file, 'utf8')) as unknown[]).length, 4, 'one that was loaded may be replaced')
})

test('Ctrl-C stops an answer that is under way, and twice with nothing under way ends', async () => {
  const notes: string[] = []
  const output = {
    write: () => undefined,
    end: () => undefined,
    note: (text: string) => notes.push(text),
  }
  const result = { text: 'cut', finishReason: 'aborted', leftOut: 0 } as ChatAnswer
  const session = {
    maxTokens: 8,
    async *answer(_: unknown, { signal }: { signal?: AbortSignal | undefined }) {
      yield { tokenIds: [1], text: 'cut' }
      if (signal?.aborted === false)
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
      return result
    },
  }
  const work = new Interruptible((text) => notes.push(text))
  const { settings } = chatState()
  const loop = new ChatLoop({ session, output, settings, work, options: () => ({ maxNewTokens: 1 }) })
  const answered = loop.take('hello')
  await until('an answer', () => loop.conversation.numTurns === 1 || undefined)
  assert.equal(work.interrupt(), true)
  assert.equal(work.interrupt(), false, 'a second one while the answer stops')
  assert.equal(await answered, true)
  assert.equal(told(loop.conversation), 'u:hello a:cut')
  assert.equal(work.interrupt(), true)
  assert.match(notes[0]!, /Ctrl-C again ends/)
  await loop.take('')
  assert.equal(work.interrupt(), true, 'a line came in between')
  assert.equal(work.interrupt(), false)
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
    child.stdin!.end('Fellow-citizens \\\nof the Senate\n/retry\nThe state of the Union\n')
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
