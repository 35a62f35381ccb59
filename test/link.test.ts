import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Link, type LinkOptions } from './link.ts'

/** A link to a server that sends everything back, and a way to connect to it. */
async function echoBehind(t: TestContext, options: LinkOptions) {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const link = await Link.open((server.address() as AddressInfo).port, options)
  t.after(async () => {
    await link.close()
    server.close()
  })
  const open = (): Socket => connect(link.port, '127.0.0.1').on('error', () => undefined)
  return { link, open }
}

async function echo(socket: Socket, bytes: number): Promise<number> {
  const began = performance.now()
  const sent = Buffer.from(Array.from({ length: bytes }, (_, i) => i % 251))
  socket.write(sent)
  const parts: Buffer[] = []
  for (let got = 0; got < bytes;) {
    const [part] = (await once(socket, 'data')) as [Buffer]
    parts.push(part)
    got += part.byteLength
  }
  assert.ok(Buffer.concat(parts).equals(sent))
  return performance.now() - began
}

test('bytes come in their order, after the delay and no faster than the rate', async (t) => {
  const { open } = await echoBehind(t, { delayMs: 30, bytesPerSecond: 1e6 })
  const socket = open()
  assert.ok((await echo(socket, 10)) >= 60)
  assert.ok((await echo(socket, 300_000)) >= 300 + 60)
  socket.destroy()
})

test('a frozen link keeps what it was given, a cut one loses its connections and takes no new ones', async (t) => {
  const { link, open } = await echoBehind(t, {})
  const socket = open()
  await echo(socket, 10)
  const thaw = link.freeze()
  let arrived = false
  const echoed = echo(socket, 10).then(() => {
    arrived = true
  })
  await new Promise((resolve) => {
    setTimeout(resolve, 50)
  })
  assert.equal(arrived, false)
  thaw()
  await echoed
  link.cut()
  await once(socket, 'close')
  await once(open(), 'close')
  link.restore()
  const again = open()
  await echo(again, 10)
  again.destroy()
})
