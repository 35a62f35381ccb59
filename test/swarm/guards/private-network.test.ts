import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xsalsa20 } from '@noble/ciphers/salsa.js'
import { Uint8ArrayList } from 'uint8arraylist'
import type { SwarmError } from '../../../src/swarm/errors.ts'
import { KeyStream } from '../../../src/swarm/guards/private-network.ts'
import { generateSwarmKey, parseSwarmKey } from '../../../src/swarm/guards/swarm-key.ts'
import { echo, outputOf, startNode, stepOf, targetOf } from '../kit.ts'

const newKey = () => parseSwarmKey(generateSwarmKey(), 'swarm.key')

test('a key file is read in both encodings, and a new one is random', () => {
  const hex = '00112233445566778899aabbccddeeff'.repeat(2)
  const key = Uint8Array.from(Buffer.from(hex, 'hex'))
  assert.deepEqual(parseSwarmKey(`/key/swarm/psk/1.0.0/\n/base16/\n${hex}`, 'k'), key)
  assert.deepEqual(parseSwarmKey(`/key/swarm/psk/1.0.0/\r\n/base16/\r\n${hex.toUpperCase()}\r\n`, 'k'), key)
  assert.deepEqual(parseSwarmKey(`/key/swarm/psk/1.0.0/\n/base64/\n${Buffer.from(key).toString('base64')}\n`, 'k'), key)
  assert.notDeepEqual(newKey(), newKey())
})

for (const [what, text] of [
  ['an empty file', ''],
  ['another header', '/key/swarm/psk/2.0.0/\n/base16/\nab'],
  ['an unknown encoding', `/key/swarm/psk/1.0.0/\n/base32/\n${'a'.repeat(64)}`],
  ['a short key', `/key/swarm/psk/1.0.0/\n/base16/\n${'a'.repeat(62)}`],
  ['a digit that is none', `/key/swarm/psk/1.0.0/\n/base16/\n${'g'.repeat(64)}`],
  ['a second key', `/key/swarm/psk/1.0.0/\n/base16/\n${'a'.repeat(64)}\n${'a'.repeat(64)}`],
] as const) {
  test(`a key file with ${what} is refused by name and does not show the key`, () => {
    assert.throws(
      () => parseSwarmKey(text, '/etc/petals/swarm.key'),
      (error: SwarmError) => {
        assert.equal(error.code, 'SWARM_KEY')
        assert.match(error.message, /\/etc\/petals\/swarm\.key/)
        assert.doesNotMatch(error.message, /aaaa|gggg/)
        return true
      },
    )
  })
}

test('however a stream is cut, its bytes are those of XSalsa20 in one piece', () => {
  const key = new Uint8Array(32).fill(7),
    nonce = new Uint8Array(24).fill(9)
  const plain = Uint8Array.from({ length: 300_000 }, (_, i) => i * 31)
  const whole = xsalsa20(key, nonce, plain)
  for (const cuts of [[1], [63, 64, 65], [2, 65_535, 16], [200_000]]) {
    const stream = new KeyStream(key, nonce)
    const pieces = new Uint8ArrayList()
    for (let from = 0, i = 0; from < plain.length; i++) {
      const until = Math.min(plain.length, from + cuts[i % cuts.length]!)
      const middle = from + Math.floor((until - from) / 3)
      pieces.append(stream.apply(new Uint8ArrayList(plain.subarray(from, middle), plain.subarray(middle, until))))
      from = until
      if (cuts.length === 1 && cuts[0] === 1 && from > 500) break
    }
    assert.ok(Buffer.from(whole.subarray(0, pieces.byteLength)).equals(pieces.subarray()), String(cuts))
  }
  assert.deepEqual(plain[1], 31)
})

test('peers with the same key talk, in messages of any size', async (t) => {
  const swarmKey = newKey()
  const server = await startNode(t, { swarmKey })
  const client = await startNode(t, { swarmKey, listen: [] })
  await server.handle('inference', echo)
  const stream = await client.open(targetOf(server), 'inference')
  for (const numBytes of [2, 8 << 10, 300_000, 8 << 20]) {
    await stream.send(stepOf(3, numBytes))
    assert.deepEqual(await stream.receive({ timeoutMs: 10_000 }), outputOf(3, numBytes), `${numBytes} bytes`)
  }
  await stream.end()
})

for (const [what, ours, theirs, hint] of [
  ['another key', newKey(), newKey(), /different swarm key/],
  ['no key', newKey(), undefined, /different swarm key, or none/],
  ['a key where we have none', undefined, newKey(), /private swarm/],
] as const) {
  test(`a peer with ${what} cannot be dialled, nor be a bootstrap peer, and both live on`, async (t) => {
    const server = await startNode(t, { swarmKey: theirs })
    const bootstrap = server.multiaddrs
    const client = await startNode(t, { swarmKey: ours, listen: [], bootstrap })
    await assert.rejects(client.ready({ timeoutMs: 9000 }), { code: 'SWARM_HANDSHAKE', message: hint })
    await assert.rejects(client.open(targetOf(server), 'info'), { code: 'SWARM_HANDSHAKE', message: hint })
    assert.equal(server.connections.numPeers, 0)
    const friend = await startNode(t, { swarmKey: theirs, listen: [], bootstrap })
    await friend.ready()
  })
}
