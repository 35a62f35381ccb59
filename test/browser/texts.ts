/** An answer with all that models write. */
export const RICH_ANSWER = [
  'A **KV cache** keeps the keys and values of every token that was read, so that a new token only has to be ' +
    'compared with them. Each server keeps the cache of *its own* blocks.',
  '## What happens when a server dies',
  `1. The step that was under way fails, or is late.
2. Another holder of the same blocks takes its place:
   - it is sent the inputs that the lost server had seen,
   - and computes their keys and values again.
3. The answer goes on at the exact token.`,
  `\`\`\`python
def replay(session, span, replacement):
    """Brings a replacement to the position of the session."""
    for chunk in session.inputs_of(span):  # hidden states
        replacement.forward(chunk)
    return replacement.position == session.position
\`\`\``,
  `| Server | Blocks | Tokens/s |
| :-- | :-: | --: |
| ada | 0:3 | 212.5 |
| bert | 3:6 | 187.0 |
| carl | 3:8 | 96.4 |`,
  '> The text is the same as if nothing had happened.',
  'See [the protocol](https://example.org/protocol), or run `petals-node status --watch`.',
].join('\n\n')

const CALL = 'await session.step(hiddenStates.slice(0, 1), { rows: 1, signal: AbortSignal.timeout(30_000) })'

/** Code whose lines are longer than any window. */
export const LONG_CODE = [
  'Here it is:',
  `\`\`\`typescript
${Array.from({ length: 45 }, (_, i) => `export const row${i} = [${CALL}, ${CALL}]`).join('\n')}
\`\`\``,
  'Done.',
].join('\n\n')
