import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'

/**
 * The node's Ed25519 key: read from `file`, which is created (mode 0600) if it does not exist; without a file a new
 * key. Throws `SWARM_IDENTITY`, naming the file.
 */
export async function loadIdentity(file?: string): Promise<PrivateKey> {
  if (file === undefined) return generateKeyPair('Ed25519')
  const bytes = (await readIfPresent(file)) ?? (await createKeyFile(file))
  return parseKey(file, bytes)
}

async function readIfPresent(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new SwarmError('SWARM_IDENTITY', `cannot read the identity file ${file}: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

/**
 * Creates the file with a new key. A finished temporary file is hard-linked to the name, which never replaces a file:
 * of two nodes that start together both use the same key.
 */
async function createKeyFile(file: string): Promise<Uint8Array> {
  const part = `${file}.${randomUUID()}.part`
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeSynced(part, privateKeyToProtobuf(await generateKeyPair('Ed25519')))
    await link(part, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    return await readFile(file)
  } catch (error) {
    throw new SwarmError('SWARM_IDENTITY', `cannot create the identity file ${file}: ${errorMessage(error)}`, {
      cause: error,
    })
  } finally {
    await rm(part, { force: true }).catch(() => undefined)
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function parseKey(file: string, bytes: Uint8Array): PrivateKey {
  const cure = 'give the right file, or remove it to get a new identity'
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519') return key
  } catch (error) {
    throw new SwarmError(
      'SWARM_IDENTITY',
      `the identity file ${file} (${bytes.byteLength} bytes) holds no complete private key: ${cure}`,
      { cause: error },
    )
  }
  throw new SwarmError('SWARM_IDENTITY', `the identity file ${file} holds a key that is not Ed25519: ${cure}`)
}
