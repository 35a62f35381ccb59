import DOMPurify from 'dompurify'
import { Marked } from 'marked'
import { highlighted } from './highlight.ts'
import { SYNTAX, type TextBlock } from './text-blocks.ts'

/** What answers may be made of. */
const TAGS = [
  'p br hr h3 h4 h5 h6 ul ol li blockquote strong em del a input',
  'table thead tbody tr th td pre code span div button',
].flatMap((names) => names.split(' '))
const ATTRIBUTES = [
  'href',
  'class',
  'dir',
  'type',
  'checked',
  'disabled',
  'start',
  'tabindex',
  'align',
  'rel',
  'target',
]

const marked = new Marked({
  ...SYNTAX,
  renderer: {
    // HTML of a model is shown as what it is: text.
    html: ({ text }) => escaped(text),
    // A picture would be fetched from wherever the model says.
    image: ({ href, text }) => link(href, escaped(text === '' ? href : text)),
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens))
    },
    heading({ tokens, depth }) {
      // The page's own headings stand above them.
      const level = Math.min(depth + 2, 6)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`
    },
    code: ({ text, lang = '' }) => code(text, lang.trim().split(/\s/, 1)[0]!.toLowerCase()),
    table(token) {
      const [head, ...rows] = [token.header, ...token.rows].map(
        (cells) => `<tr>${cells.map((cell) => this.tablecell(cell)).join('')}</tr>`,
      )
      const table = `<table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table>`
      return `<div class="table" tabindex="0">${table}</div>`
    },
  },
})

/** A block as HTML (a `TrustedHTML`) that holds nothing but text, structure and links. */
export function renderBlock({ token }: TextBlock): object {
  return DOMPurify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    RETURN_TRUSTED_TYPE: true,
  })
}

function code(text: string, language: string): string {
  const name = /^[\w+#.-]{1,20}$/.test(language) ? language : ''
  return (
    `<div class="code" dir="ltr"><div class="code-bar"><span>${escaped(name === '' ? 'code' : name)}</span>` +
    '<button type="button" class="copy-code">Copy</button></div>' +
    `<pre tabindex="0"><code>${highlighted(text, name) ?? escaped(text)}</code></pre></div>`
  )
}

function link(href: string, content: string): string {
  // What leads into this page, or runs something, is no link of an answer.
  if (!/^(?:https?|mailto):/i.test(href)) return content
  return `<a href="${escaped(href)}" target="_blank" rel="noopener noreferrer">${content}</a>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
