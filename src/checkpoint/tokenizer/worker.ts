import { parentPort, workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { type Codec, loadCodec } from './codec.ts'
import type { TokenizerMessage, TokenizerRequest, TokenizerWorkerData } from './messages.ts'
import { advance, rest } from './stream.ts'

const { folder } = workerData as TokenizerWorkerData

try {
  const codec = loadCodec(folder)
  parentPort?.on('message', (request: TokenizerRequest) => post(answer(codec, request)))
  post({ kind: 'ready' })
} catch (error) {
  post({ kind: 'unusable', code: errorCode(error), message: errorMessage(error) })
}

function answer(codec: Codec, request: TokenizerRequest): TokenizerMessage {
  try {
    return { kind: 'result', id: request.id, result: run(codec, request) }
  } catch (error) {
    return { kind: 'error', id: request.id, message: errorMessage(error) }
  }
}

function run(codec: Codec, { kind, args }: TokenizerRequest) {
  switch (kind) {
    case 'encode':
      return codec.encode(args.text, args.addSpecialTokens)
    case 'decode':
      return codec.decode(args.ids, args.skipSpecialTokens)
    case 'advance':
      return advance((ids) => codec.decode(ids, args.skipSpecialTokens), args.state, args.ids)
    case 'rest':
      return rest((ids) => codec.decode(ids, args.skipSpecialTokens), args.state)
  }
}

function post(message: TokenizerMessage): void {
  parentPort?.postMessage(message, [])
}
