import { readFile, writeFile } from 'node:fs/promises'
import { argv } from 'node:process'
import wabt from 'wabt'

const SOURCE = new URL('../../src/tensor/kernels.wat', import.meta.url)
const TARGET = new URL('../../src/tensor/kernels.ts', import.meta.url)

/** The text of kernels.ts that belongs to kernels.wat. Run as a program, this file writes it. */
export async function assembleKernels(): Promise<string> {
  const { parseWat } = await wabt()
  const parsed = parseWat('kernels.wat', await readFile(SOURCE, 'utf8'), { simd: true })
  try {
    const lines = Buffer.from(parsed.toBinary({}).buffer)
      .toString('base64')
      .match(/.{1,110}/g)!
    return (
      '/** The WebAssembly module of kernels.wat, assembled by test/tensor/assemble.ts, as base64. */\n' +
      `export const KERNELS = [\n${lines.map((line) => `  '${line}',`).join('\n')}\n].join('')\n`
    )
  } finally {
    parsed.destroy()
  }
}

export async function readKernels(): Promise<string> {
  return readFile(TARGET, 'utf8')
}

if (argv[1] === import.meta.filename) await writeFile(TARGET, await assembleKernels())
