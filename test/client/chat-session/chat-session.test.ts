import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ChatAnswer } from '../../../src/client/chat-session/chat-session.ts'
import { Conversation } from '../../../src/client/chat/conversation.ts'
import { type OpenedChat, openChat } from '../../../src/client/chat-session/open-chat.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { DEMO, type TestSwarm, startServers } from '../kit.ts'

/** Roles as words, so that the demo model, which knows none, gets a text of many tokens between the answers. */
const TEMPLATE =
  '{{ bos_token }}{% for m in messages %}{{ m.role | upper + ":" + m.content + "\n" }}{% endfor %}ASSISTANT:'
const SPANS = [
  [0, 3],
  [3, 8],
] as const
const MAX_NEW_TOKENS = 8

async function answer(
  { session }: OpenedChat,
  conversation: Conversation,
  options: { maxNewTokens?: number; signal?: AbortSignal; onText?: () => void } = {},
): Promise<ChatAnswer> {
  const { onText, ...rest } = options
  const chunks = session.answer(conversation.messages, {
    maxNewTokens: MAX_NEW_TOKENS,
    temperature: 0,
    eosTokenIds: [],
    ...rest,
  })
  for (;;) {
    const next = await chunks.next()
    if (next.done !== true) {
      onText?.()
      continue
    }
    conversation.answer(next.value.text)
    return next.value
  }
}

describe('a chat over two servers', () => {
  let swarm: TestSwarm
  let model: AutoDistributedModelForCausalLM
  let folder: string
  /** Tokens that each server has computed. */
  const computed = SPANS.map(() => 0)
  const chats: OpenedChat[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'petals-chat-'))
    await writeFile(join(folder, 'template.jinja'), TEMPLATE)
    swarm = await startServers(DEMO, SPANS)
    for (const [i, { server }] of swarm.servers.entries())
      server.engine.on('run', ({ tokens }) => {
        computed[i]! += tokens
      })
    model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: swarm.bootstrap, threads: 1 })
  })

  after(async () => {
    for (const { session } of chats) await session.close()
    await model.close()
    await swarm.stop()
    await rm(folder, { recursive: true })
  })

  async function open(template: string, sessionTokens = 1024): Promise<OpenedChat> {
    computed.fill(0)
    const chat = await openChat(model, { template, sessionTokens })
    chats.push(chat)
    return chat
  }

  test('in ten turns each server computes each token of the conversation once', async () => {
    const chat = await open(join(folder, 'template.jinja'))
    const conversation = new Conversation()
    let expected = 0
    for (let turn = 0; turn < 10; turn++) {
      conversation.ask(`Question ${turn} of the Senate, and the House of Representatives?`)
      const { newTokens, contextTokens, tokenIds } = await answer(chat, conversation)
      assert.equal(tokenIds.length, MAX_NEW_TOKENS)
      // The answer's last token is computed with the next turn.
      expected += newTokens + tokenIds.length - 1
      assert.equal(expected, contextTokens + tokenIds.length - 1, `all that is held at turn ${turn} was computed once`)
      assert.deepEqual(computed, [expected, expected], `turn ${turn}`)
    }
  })

  test('answers are those of a fresh session that is given the whole conversation', async () => {
    const chat = await open(join(folder, 'template.jinja'))
    const conversation = new Conversation()
    let ids: readonly number[] = []
    for (const question of ['Fellow-citizens', 'of the Senate']) {
      conversation.ask(question)
      const { promptIds, tokenIds, contextTokens } = await answer(chat, conversation)
      assert.deepEqual(promptIds.slice(0, ids.length), ids)
      ids = promptIds
      assert.equal(ids.length, contextTokens)
      const fresh = await model.generate(ids, { maxNewTokens: MAX_NEW_TOKENS, temperature: 0, eosTokenIds: [] })
      assert.deepEqual(fresh.tokenIds, tokenIds)
      ids = [...ids, ...tokenIds]
    }
  })

  test('an answer that is asked for again costs one token of the context, an edit what was edited', async () => {
    const chat = await open(join(folder, 'template.jinja'))
    const conversation = new Conversation()
    conversation.ask('The first question of all')
    await answer(chat, conversation)
    conversation.ask('The state of the Union')
    const first = await answer(chat, conversation)
    conversation.retry()
    const again = await answer(chat, conversation)
    assert.deepEqual([again.text, again.newTokens], [first.text, 1])
    conversation.edit('The state of the peace')
    const edited = await answer(chat, conversation)
    assert.ok(edited.newTokens > 1 && edited.newTokens < first.newTokens, `${edited.newTokens} of ${first.newTokens}`)
    conversation.setSystem('x')
    conversation.retry()
    const anew = await answer(chat, conversation)
    assert.ok(anew.newTokens >= anew.contextTokens - 1, 'all but the BOS')
  })

  test('an answer that is cut short leaves a session that goes on', async () => {
    const chat = await open(join(folder, 'template.jinja'))
    const conversation = new Conversation()
    conversation.ask('Fellow-citizens')
    const abort = new AbortController()
    let numChunks = 0
    const cut = await answer(chat, conversation, {
      maxNewTokens: 100,
      signal: abort.signal,
      onText: () => {
        if (++numChunks === 5) abort.abort()
      },
    })
    assert.equal(cut.finishReason, 'aborted')
    assert.ok(cut.tokenIds.length >= 5 && cut.tokenIds.length <= 7)
    conversation.ask('and you?')
    const next = await answer(chat, conversation)
    assert.ok(next.newTokens < next.contextTokens - cut.contextTokens, 'what came of the answer is not computed again')
  })

  test('a conversation that outgrows its session moves to a larger one, up to what the model takes', async () => {
    const chat = await open('plain', 32)
    const conversation = new Conversation()
    conversation.ask('Short')
    await answer(chat, conversation)
    conversation.ask('This is a longer message, which does not fit into a session of thirty-two tokens')
    const second = await answer(chat, conversation)
    conversation.ask('And this is one more, for which sixty-four tokens are not enough either')
    const { newTokens, contextTokens } = await answer(chat, conversation)
    assert.equal(newTokens, contextTokens - second.contextTokens - MAX_NEW_TOKENS + 1)
    conversation.ask('On a good day ')
    const last = await answer(chat, conversation, { maxNewTokens: 1 })
    assert.ok(last.newTokens < last.contextTokens)
    conversation.ask('word '.repeat(3000))
    await assert.rejects(answer(chat, conversation), /the model takes 2048, the answer's among them: take turns back/)
    conversation.undo()
    conversation.ask('Again')
    assert.ok((await answer(chat, conversation)).text.length > 0)
  })

  test("a template's own end of an answer is a token where the model has it, else a stop string", async () => {
    const plain = await open('plain')
    assert.deepEqual([plain.eosTokenIds, plain.stopStrings], [[1], ['\nUser:']])
    const own = await open('model')
    assert.deepEqual([own.eosTokenIds, own.stopStrings], [[1], []])
  })
})
