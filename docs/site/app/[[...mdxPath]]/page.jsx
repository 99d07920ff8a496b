import { generateStaticParamsFor, importPage } from 'nextra/pages';
import { useMDXComponents as mdxComponents } from '../../mdx-components';

export const generateStaticParams = generateStaticParamsFor('mdxPath');

export async function generateMetadata({ params }) {
  const { mdxPath } = await params;
  const { metadata } = await importPage(mdxPath);
  return metadata;
}

const Wrapper = mdxComponents().wrapper;

export default async function Page({ params }) {
  const { mdxPath } = await params;
  const { default: Content, toc, metadata } = await importPage(mdxPath);
  return (
    <Wrapper toc={toc} metadata={metadata}>
      <Content params={await params} />
    </Wrapper>
  );
}
